//! Tiles and bundles: their paths, their bytes, and trees that are read from them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::convert::Infallible;

use codegenie_security::tlog::{
    BundleError, ConsistencyProof, EntryBundle, HashSource, HashTile, InclusionProof, MemoryTree, Subtree,
    TileError, TileHashes, TileLevel, TilePath, Tree, leaf_hash,
};
use proptest::prelude::*;

use crate::{entry, head, log};

#[test]
fn a_tile_has_one_path() {
    use TileLevel::{Entries, Hashes};
    for (level, index, width, expected) in [
        (Hashes(0), 0, 256, "tile/0/000"),
        (Hashes(0), 67, 5, "tile/0/067.p/5"),
        (Hashes(63), 999, 255, "tile/63/999.p/255"),
        (Hashes(1), 1_000, 256, "tile/1/x001/000"),
        (Entries, 1_234_067, 256, "tile/entries/x001/x234/067"),
        (Entries, 0, 1, "tile/entries/000.p/1"),
        (Hashes(7), u64::MAX, 256, "tile/7/x018/x446/x744/x073/x709/x551/615"),
    ] {
        let path = TilePath::new(level, index, width).unwrap();
        assert_eq!(path.to_string(), expected);
        assert_eq!(expected.parse(), Ok(path));
        assert_eq!((path.level(), path.index(), path.width()), (level, index, width));
        assert_eq!(path.full().to_string(), expected.split(".p/").next().unwrap());
    }
    for bad in [
        "",
        "tile",
        "tile/0",
        "tile/0/",
        "/tile/0/000",
        "tile/0/000/",
        "tile/0/0",
        "tile/0/0000",
        "tile/0/x000",
        "tile/0/x000/000",
        "tile/0/001/000",
        "tile/0/x001/x000",
        "tile/0/X001/000",
        "tile/0/+01",
        "tile/0/x+01/000",
        "tile/00/000",
        "tile/64/000",
        "tile/256/000",
        "tile/-1/000",
        "tile/data/000",
        "tile/8/0/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/000.p/",
        "tile/0/000.p/1/",
        "tile/0/000.p/1.p/1",
        "tile/0/000.P/1",
        "tile/0/x018/x446/x744/x073/x709/x551/616",
        "tile/0/x001/x000/x000/x000/x000/x000/x000/000",
        "tile/0/\u{0661}00",
        "tile/../000",
    ] {
        assert!(bad.parse::<TilePath>().is_err(), "{bad:?}");
    }
    assert_eq!(TilePath::new(Hashes(64), 0, 1), None);
    assert_eq!(TilePath::new(Entries, 0, 0), None);
    assert_eq!(TilePath::new(Entries, 0, 257), None);
}

#[test]
fn a_tree_has_the_tiles_that_the_specification_counts() {
    let count = |size, level, full| {
        let of_level = TilePath::new_between(0, size).filter(|path| path.level() == level);
        of_level.filter(|path| (path.width() == 256) == full).count()
    };
    let widths = |size, level| -> Vec<u16> {
        let paths = TilePath::new_between(0, size).filter(|path| path.level() == level && path.width() < 256);
        paths.map(|path| path.width()).collect()
    };
    use TileLevel::{Entries, Hashes};
    assert_eq!((count(70_000, Hashes(0), true), widths(70_000, Hashes(0))), (273, vec![112]));
    assert_eq!((count(70_000, Hashes(1), true), widths(70_000, Hashes(1))), (1, vec![17]));
    assert_eq!((count(70_000, Hashes(2), true), widths(70_000, Hashes(2))), (0, vec![1]));
    assert_eq!((count(70_000, Entries, true), widths(70_000, Entries)), (273, vec![112]));
    assert_eq!(TilePath::new_between(0, 70_000).count(), 274 + 2 + 1 + 274);
    assert_eq!((count(256, Hashes(0), true), widths(256, Hashes(1))), (1, vec![1]));
    assert_eq!(TilePath::new_between(5, 5).count() + TilePath::new_between(6, 5).count(), 0);

    for (level, index, size, width) in [
        (Hashes(0), 0, 0, None),
        (Hashes(0), 0, 1, Some(1)),
        (Hashes(0), 0, 256, Some(256)),
        (Hashes(0), 1, 256, None),
        (Hashes(1), 0, 255, None),
        (Hashes(7), 0, u64::MAX, Some(255)),
        (Hashes(8), 0, u64::MAX, None),
        (Hashes(0), u64::MAX >> 8, u64::MAX, Some(255)),
        (Hashes(0), u64::MAX, u64::MAX, None),
        (Entries, 2, 513, Some(1)),
    ] {
        let path = TilePath::in_tree(level, index, size);
        assert_eq!(path.map(|path| path.width()), width, "{level:?} {index} {size}");
    }
    // The greatest trees have too many to count, and the first are there at once.
    assert_eq!(TilePath::new_between(u64::MAX - 1, u64::MAX).count(), 2);
    assert_eq!(TilePath::new_between(0, u64::MAX).take(3).count(), 3);
}

/// The tiles of a tree that grew by steps, with all that was ever written.
fn tiles(log: &MemoryTree, steps: &[u64]) -> BTreeMap<String, Vec<u8>> {
    let mut tiles = BTreeMap::new();
    for pair in steps.windows(2) {
        for path in TilePath::new_between(pair[0], pair[1]).filter(|path| path.level() != TileLevel::Entries)
        {
            let tile = HashTile::read(log, path).unwrap();
            assert_eq!(tile.hashes().len(), usize::from(path.width()));
            assert_eq!(HashTile::parse(path, &tile.to_bytes()).unwrap(), tile);
            tiles.insert(path.to_string(), tile.to_bytes());
        }
    }
    tiles
}

#[test]
fn a_tree_is_read_from_its_tiles() {
    let steps = [0, 1, 255, 256, 257, 1_000, 65_536, 66_000];
    let log = log(66_000);
    let tiles = tiles(&log, &steps);
    for &size in &steps[1..] {
        let read = Cell::new(0);
        let source = TileHashes::new(size, |path: &TilePath| {
            read.set(read.get() + 1);
            Ok::<_, Infallible>(tiles[&path.to_string()].clone())
        });
        let tree = head(&log, size);
        assert_eq!(Tree::read(&source, size).unwrap().head(), tree);
        for index in
            [0, 1, size / 2, size / 3, size.saturating_sub(2), size - 1].map(|index| index.min(size - 1))
        {
            let proof = InclusionProof::make(&source, size, index).unwrap();
            proof.verify(index, &leaf_hash(&entry(index)), &tree).unwrap();
        }
        for old in (0..=size).step_by(size as usize / 13 + 1) {
            let proof = ConsistencyProof::make(&source, old, size).unwrap();
            proof.verify(&head(&log, old), &tree).unwrap();
        }
        for level in 0..17 {
            let last = (size >> level).saturating_sub(1);
            for index in [0, last / 2, last, last + 1] {
                let subtree = Subtree::new(level, index).unwrap();
                let (ours, theirs) = (source.hash(subtree), log.hash(subtree));
                match subtree.end() <= size {
                    true => assert_eq!(ours, Ok(theirs.unwrap())),
                    false => assert!(matches!(ours, Err(TileError::NoSuchSubtree(_)))),
                }
            }
        }
        assert!(read.get() > 0);
    }
    // Full tiles in the place of partial ones that are gone.
    let source = TileHashes::new(1_000, |path: &TilePath| {
        let partial = tiles[&path.to_string()].clone();
        Ok::<_, Infallible>(tiles.get(&path.full().to_string()).cloned().unwrap_or(partial))
    });
    assert_eq!(Tree::read(&source, 1_000).unwrap().head(), head(&log, 1_000));
}

#[test]
fn a_tile_that_is_not_whole_or_not_true_proves_nothing() {
    let log = log(1_000);
    let tiles = tiles(&log, &[0, 1_000]);
    let tree = head(&log, 1_000);
    let read = |change: fn(&mut Vec<u8>)| {
        let source = TileHashes::new(1_000, move |path: &TilePath| {
            let mut tile = HashTile::read(&self::log(1_000), *path).unwrap().to_bytes();
            change(&mut tile);
            Ok::<_, Infallible>(tile)
        });
        InclusionProof::make(&source, 1_000, 999)
    };
    let changes: [fn(&mut Vec<u8>); 3] = [|tile| tile.truncate(31), |tile| tile.push(0), Vec::clear];
    for change in changes {
        assert!(read(change).is_err());
    }
    let forged = read(|tile| tile[0] ^= 1).unwrap();
    assert!(forged.verify(999, &leaf_hash(&entry(999)), &tree).is_err());

    let source = TileHashes::new(1_000, |path: &TilePath| {
        std::fs::read(std::path::Path::new("/nonexistent").join(path.to_string()))
    });
    let refused = Tree::read(&source, 1_000).unwrap_err();
    assert!(matches!(refused, TileError::Source(error) if error.kind() == std::io::ErrorKind::NotFound));

    let path: TilePath = "tile/0/000.p/2".parse().unwrap();
    assert!(HashTile::parse(path, &[0; 64]).is_ok());
    for len in [0, 32, 63, 65, 96, 8_192] {
        assert!(matches!(HashTile::parse(path, &vec![0; len]), Err(TileError::Length { .. })));
    }
    let entries: TilePath = "tile/entries/000.p/2".parse().unwrap();
    assert!(matches!(HashTile::parse(entries, &[0; 64]), Err(TileError::NotHashes { .. })));
    assert!(matches!(HashTile::read(&log, entries), Err(TileError::NotHashes { .. })));
    let nowhere: TilePath = "tile/63/000".parse().unwrap();
    assert!(matches!(HashTile::read(&log, nowhere), Err(TileError::NotHashes { .. })));
    let later: TilePath = "tile/0/004".parse().unwrap();
    assert!(matches!(HashTile::read(&log, later), Err(TileError::Source(_))));

    let tile = HashTile::parse("tile/0/000".parse().unwrap(), &tiles["tile/0/000"]).unwrap();
    assert_eq!(tile.subtree(8, 0).unwrap(), head(&log, 256).root);
    assert_eq!(tile.subtree(3, 0).unwrap(), head(&log, 8).root);
    for (level, index) in [(8, 1), (9, 0), (3, 32), (0, 256), (64, 0), (0, usize::MAX), (8, usize::MAX)] {
        assert_eq!(tile.subtree(level, index), None);
    }
}

#[test]
fn a_bundle_has_up_to_256_entries_of_up_to_65535_bytes() {
    let mut bundle = EntryBundle::new();
    assert!(bundle.is_empty());
    bundle.push(b"").unwrap();
    bundle.push(b"two").unwrap();
    bundle.push(&vec![3; EntryBundle::MAX_ENTRY]).unwrap();
    assert_eq!(
        bundle.push(&vec![4; EntryBundle::MAX_ENTRY + 1]).unwrap_err().to_string().find("65536"),
        Some(12)
    );
    assert_eq!(bundle.as_bytes()[..9], *b"\0\0\0\x03two\xff\xff");
    assert_eq!(bundle.entries().map(<[u8]>::len).collect::<Vec<_>>(), [0, 3, 65_535]);
    assert_eq!(EntryBundle::parse(bundle.as_bytes(), 3), Ok(bundle.clone()));
    for width in [0, 1, 2, 4, 256] {
        let refused = EntryBundle::parse(bundle.as_bytes(), width);
        assert!(matches!(refused, Err(BundleError::Width { expected, .. }) if expected == width));
    }
    for (cut, entry) in [(1, 0), (3, 1), (6, 1), (8, 2), (1_000, 2)] {
        let refused = EntryBundle::parse(&bundle.as_bytes()[..cut], 3);
        assert!(matches!(refused, Err(BundleError::Cut { entry: found, .. }) if found == entry), "{cut}");
    }
    while bundle.len() < 256 {
        bundle.push(b"more").unwrap();
    }
    assert_eq!(bundle.push(b"one too many"), Err(BundleError::Full));
    assert_eq!(EntryBundle::parse(bundle.as_bytes(), 256), Ok(bundle));
    assert!(EntryBundle::parse(&[0; 514], 257).is_err());
    assert!(EntryBundle::parse(b"", 0).unwrap().is_empty());
}

proptest! {
    #[test]
    fn new_tiles_are_those_that_were_not_there_before(old in 0..200_000_u64, more in 0..5_000_u64) {
        let all = |size| TilePath::new_between(0, size).collect::<std::collections::HashSet<_>>();
        let (before, after) = (all(old), all(old + more));
        let new: Vec<_> = TilePath::new_between(old, old + more).collect();
        prop_assert!(new.iter().all(|path| after.contains(path) && !before.contains(path)));
        prop_assert_eq!(new.len(), after.difference(&before).count());
        for path in after {
            prop_assert_eq!(TilePath::in_tree(path.level(), path.index(), old + more), Some(path));
        }
    }

    #[test]
    fn any_path_is_read_as_it_is_shown(
        level in prop::option::of(0..64_u8),
        index in any::<u64>(),
        shift in 0..64_u32,
        width in 1..=256_u16,
    ) {
        let level = level.map_or(TileLevel::Entries, TileLevel::Hashes);
        let path = TilePath::new(level, index >> shift, width).unwrap();
        prop_assert_eq!(path.to_string().parse(), Ok(path));
    }
}
