//! What must hold for any bytes that are read as a note, a checkpoint, a proof, a tile or a bundle. Shared by the fuzz
//! targets and by bounded tests that run with the others.

#[path = "../altered.rs"]
mod altered;

use altered::altered;
use codegenie_security::SigningKey;
use codegenie_security::tlog::{
    Checkpoint, CosignatureVerifier, EntryBundle, Hash, HashTile, InclusionProof, LoggedProof, MemoryTree,
    Note, NoteSigner, NoteVerifier, TileHashes, TilePath, Tree, leaf_hash,
};

const ORIGIN: &str = "fuzz.example/log";

fn signer() -> NoteSigner {
    NoteSigner::new(ORIGIN, SigningKey::from_seed([7; 32])).expect("a good name")
}

fn log(size: u8) -> MemoryTree {
    let mut log = MemoryTree::new();
    for index in 0..size {
        log.append(leaf_hash(&[index])).expect("few leaves");
    }
    log
}

fn on_one_line(error: impl std::error::Error) {
    assert!(!error.to_string().contains('\n'), "{error:?}");
}

/// Reads `bytes` as a note and as a key, and a note that was signed with `changes` made to it.
pub(crate) fn note(bytes: &[u8], changes: Vec<(u16, u8)>) {
    let keys = [signer().verifier()];
    match Note::parse(bytes) {
        Ok(note) => {
            assert_eq!(note.to_string().as_bytes(), bytes);
            assert!((1..=Note::MAX_SIGNATURES).contains(&note.signatures().len()));
            // Nobody signed what was made up.
            assert!(note.open(&keys).is_err());
        }
        Err(error) => on_one_line(error),
    }
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<NoteVerifier>() {
        Ok(key) => assert_eq!(key.to_string(), text),
        Err(error) => on_one_line(error),
    }
    match text.parse::<CosignatureVerifier>() {
        Ok(key) => assert_eq!(key.to_string(), text),
        Err(error) => on_one_line(error),
    }
    if let Ok(key) = NoteSigner::from_text(&text) {
        assert_eq!(key.to_text().expose(), text);
    }

    let Ok(signed) = Note::sign(text.clone() + "\n", &signer()) else { return };
    // Whatever a witness answers, it is not its signature.
    let witness = CosignatureVerifier::new(ORIGIN, *signer().verifier().key()).expect("a good name");
    assert!(witness.cosigned(&signed, &text).is_err());
    let whole = signed.to_string();
    let altered = altered(whole.as_bytes(), changes);
    let read = Note::parse(&altered);
    if altered == whole.as_bytes() {
        assert_eq!(read.as_ref(), Ok(&signed));
    }
    let opened = read.as_ref().ok().and_then(|note| note.open(&keys).ok());
    assert!(opened.is_none_or(|note| note.text() == signed.unverified_text()));
}

/// Reads `bytes` as the text of a checkpoint and as a proof, and a proof that holds with `changes` made to it.
pub(crate) fn proof(bytes: &[u8], changes: Vec<(u16, u8)>) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<Checkpoint>() {
        Ok(checkpoint) => {
            assert_eq!(checkpoint.to_string(), text);
            let note = checkpoint.sign(&signer()).expect("a checkpoint is the text of a note");
            let opened = Checkpoint::open(&note, checkpoint.origin(), &signer().verifier());
            assert_eq!(opened, Ok(checkpoint));
        }
        Err(error) => on_one_line(error),
    }
    let verify = |proof: &LoggedProof| proof.verify(&leaf_hash(&[1]), ORIGIN, &signer().verifier());
    match LoggedProof::parse(bytes) {
        Ok(proof) => {
            assert_eq!(proof.to_string().as_bytes(), bytes);
            assert!(verify(&proof).is_err());
        }
        Err(error) => on_one_line(error),
    }

    let log = log(5);
    let note = Checkpoint::new(ORIGIN, log.tree().head()).and_then(|checkpoint| checkpoint.sign(&signer()));
    let path = InclusionProof::make(&log, 5, 1).expect("there is such a leaf");
    let whole = LoggedProof::new(1, path, note.expect("a checkpoint")).extra_data(bytes);
    let altered = altered(whole.to_string().as_bytes(), changes);
    match LoggedProof::parse(&altered) {
        Ok(read) => {
            assert_eq!(read.to_string().as_bytes(), altered);
            if let Ok(checkpoint) = verify(&read) {
                assert_eq!((read.index(), read.path()), (1, whole.path()));
                assert_eq!(checkpoint.head(), log.tree().head());
            }
        }
        Err(error) => {
            assert_ne!(altered, whole.to_string().as_bytes());
            on_one_line(error);
        }
    }
}

/// Reads `bytes` as a path, a tile, a bundle and the state of a tree, and a tree from tiles with `changes` made to them.
pub(crate) fn tile(bytes: &[u8], changes: Vec<(u16, u8)>) {
    let text = String::from_utf8_lossy(bytes);
    match text.parse::<TilePath>() {
        Ok(path) => assert_eq!(path.to_string(), text),
        Err(error) => on_one_line(error),
    }
    for path in ["tile/0/000.p/3", "tile/1/000", "tile/entries/000"] {
        let path: TilePath = path.parse().expect("a path");
        if let Ok(tile) = HashTile::parse(path, bytes) {
            assert_eq!(tile.to_bytes(), bytes);
        }
    }
    for width in [0, 1, 2, 3, 255, 256, u16::MAX] {
        match EntryBundle::parse(bytes, width) {
            Ok(bundle) => {
                assert_eq!((bundle.as_bytes(), bundle.len()), (bytes, width));
                let mut again = EntryBundle::new();
                bundle.entries().for_each(|entry| again.push(entry).expect("it was in one"));
                assert_eq!(again, bundle);
            }
            Err(error) => on_one_line(error),
        }
    }
    match Tree::from_bytes(bytes) {
        Ok(mut tree) => {
            assert_eq!(tree.to_bytes(), bytes);
            let before = tree.size();
            assert_eq!(tree.append(Hash::EMPTY).ok(), (before < u64::MAX).then_some(before));
        }
        Err(error) => on_one_line(error),
    }

    let log = log(5);
    let tiles = TileHashes::new(5, |path: &TilePath| {
        let tile = HashTile::read(&log, *path).expect("a tile of the log").to_bytes();
        Ok::<_, std::convert::Infallible>(altered(&tile, changes.clone()))
    });
    if let Ok(tree) = Tree::read(&tiles, 5) {
        let whole =
            HashTile::read(&log, "tile/0/000.p/5".parse().expect("a path")).expect("its tile").to_bytes();
        assert_eq!(tree == *log.tree(), altered(&whole, changes.clone()) == whole);
        let proof = InclusionProof::make(&tiles, 5, 1).expect("all is there");
        let holds = proof.verify(1, &leaf_hash(&[1]), &log.tree().head()).is_ok();
        let truth = InclusionProof::make(&log, 5, 1).expect("all is there");
        assert_eq!(holds, proof == truth);
    }
}
