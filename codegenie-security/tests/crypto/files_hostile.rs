//! Sealed files that somebody altered, cut, or made up; and disks that fail.

use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};

use crate::{from_hex, key, some_bytes};
use codegenie_security::{
    FileError, FileErrorKind, FileOpener, FileSealer, Passphrase, SealingKey, rewrap_file,
};

const CHUNK: usize = 16 * 1024;
const SEALED: usize = CHUNK + 16;

fn sealed(len: usize) -> Vec<u8> {
    FileSealer::new(&key()).context(b"c").seal_slice(&some_bytes(len)).unwrap()
}

fn open(sealed: &[u8]) -> Result<Vec<u8>, FileError> {
    FileOpener::new(&key()).context(b"c").open_slice(sealed)
}

/// What a reader hands out before it fails.
fn read_until_error(sealed: &[u8]) -> (Vec<u8>, io::Error) {
    let mut reader = FileOpener::new(&key()).context(b"c").reader(sealed).unwrap();
    let mut out = Vec::new();
    let mut part = [0; 1000];
    loop {
        match reader.read(&mut part) {
            Ok(0) => panic!("the end was reached"),
            Ok(count) => out.extend_from_slice(&part[..count]),
            Err(error) => {
                assert!(reader.read(&mut part).is_err(), "it went on after an error");
                return (out, error);
            }
        }
    }
}

#[test]
fn every_flipped_bit_of_a_small_file_is_refused() {
    let sealed = sealed(20);
    assert_eq!(open(&sealed).unwrap(), some_bytes(20));
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let error = open(&altered).unwrap_err();
        match bit / 8 {
            0..4 => assert_eq!(error.kind(), FileErrorKind::NotSealed, "{bit}: {error}"),
            4 => assert_eq!(error.kind(), FileErrorKind::UnknownVersion, "{bit}: {error}"),
            _ => assert_ne!(error.kind(), FileErrorKind::Io, "{bit}: {error}"),
        }
    }
}

#[test]
fn every_truncation_of_a_small_file_is_refused() {
    let sealed = sealed(20);
    for len in 0..sealed.len() {
        let error = open(&sealed[..len]).unwrap_err();
        assert!(matches!(error.kind(), FileErrorKind::Truncated | FileErrorKind::Refused), "{len}: {error}");
        assert!(FileOpener::new(&key()).context(b"c").open_slice_parallel(&sealed[..len]).is_err());
    }
}

#[test]
fn whole_chunks_that_are_missing_moved_or_repeated_are_refused() {
    let sealed = sealed(3 * CHUNK + 5);
    let start = sealed.len() - (3 * SEALED + 5 + 16);
    let chunk = |n: usize| sealed[start + n * SEALED..(start + (n + 1) * SEALED).min(sealed.len())].to_vec();
    let build = |order: &[usize]| {
        let mut file = sealed[..start].to_vec();
        order.iter().for_each(|n| file.extend(chunk(*n)));
        file
    };
    assert_eq!(open(&build(&[0, 1, 2, 3])).unwrap().len(), 3 * CHUNK + 5);
    for order in
        [&[0, 1, 2][..], &[0, 1, 3], &[1, 2, 3], &[1, 0, 2, 3], &[0, 1, 1, 2, 3], &[0, 1, 2, 2], &[], &[3]]
    {
        let file = build(order);
        assert!(open(&file).is_err(), "{order:?}");
        assert!(FileOpener::new(&key()).context(b"c").open_slice_parallel(&file).is_err(), "{order:?}");
        assert!(
            FileOpener::new(&key()).context(b"c").open_parallel(&file[..], Vec::new()).is_err(),
            "{order:?}"
        );
    }
    assert!(open(&[&sealed[..], b"more"].concat()).is_err());
}

#[test]
fn nothing_of_a_chunk_is_handed_out_before_it_is_verified() {
    let mut sealed = sealed(2 * CHUNK + 5);
    let second = sealed.len() - (SEALED + 5 + 16);
    sealed[second + CHUNK - 1] ^= 1;
    let (out, error) = read_until_error(&sealed);
    assert_eq!(out, some_bytes(2 * CHUNK)[..CHUNK], "the first chunk, whole, and nothing of the second");
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    let inner = error.into_inner().unwrap().downcast::<FileError>().unwrap();
    assert_eq!(inner.kind(), FileErrorKind::Refused);
}

#[test]
fn a_file_cut_at_a_chunk_is_cut_and_no_shorter_file() {
    let sealed = sealed(2 * CHUNK);
    let cut = &sealed[..sealed.len() - 16];
    let (out, error) = read_until_error(cut);
    assert_eq!(out.len(), 2 * CHUNK);
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    let mut reader = FileOpener::new(&key()).context(b"c").reader(Cursor::new(cut)).unwrap();
    assert_eq!(reader.plaintext_len().unwrap_err().kind(), FileErrorKind::Truncated);
    assert!(reader.seek(SeekFrom::End(-1)).is_err());
}

#[test]
fn a_writer_that_is_dropped_leaves_a_file_that_is_refused() {
    let mut cut = Vec::new();
    let key = key();
    let mut writer = FileSealer::new(&key).context(b"c").writer(&mut cut).unwrap();
    writer.write_all(&some_bytes(CHUNK)).unwrap();
    drop(writer);
    assert_eq!(open(&cut).unwrap_err().kind(), FileErrorKind::Truncated);
}

#[test]
fn other_keys_and_contexts_are_refused() {
    let sealed = sealed(5);
    let other = SealingKey::from_bytes([7; 32]);
    let error = FileOpener::new(&other).context(b"c").open_slice(&sealed).unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::NoKey);
    for context in [&b""[..], b"C", b"cc"] {
        let error = FileOpener::new(&key()).context(context).open_slice(&sealed).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::Refused, "{error}");
    }
    // The key's name alone opens nothing.
    let mut renamed = sealed.clone();
    renamed[6..22].copy_from_slice(other.id().as_bytes());
    let error = FileOpener::new(&other).context(b"c").open_slice(&renamed).unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::Refused);
}

#[test]
fn a_copy_of_the_key_that_was_added_or_taken_away_is_seen() {
    let (a, b) = (key(), SealingKey::from_bytes([7; 32]));
    let sealed = FileSealer::new(&a).also_for(&b).context(b"c").seal_slice(b"for two").unwrap();
    let entry = 18 + u16::from_be_bytes([sealed[22], sealed[23]]) as usize;
    // Without the second copy, and with it twice: the first one's owner sees it.
    let mut without = sealed.clone();
    without.drain(6 + entry..6 + 2 * entry);
    without[5] = 1;
    let mut twice = sealed.clone();
    twice.splice(6..6, sealed[6..6 + entry].to_vec());
    twice[5] = 3;
    for altered in [without, twice] {
        assert_eq!(open(&altered).unwrap_err().kind(), FileErrorKind::Refused);
    }
}

#[test]
fn headers_that_claim_too_much_are_refused_before_they_are_read() {
    struct Endless(Vec<u8>, usize);
    impl Read for Endless {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            for byte in to.iter_mut() {
                *byte = self.0.get(self.1).copied().unwrap_or(0xff);
                self.1 += 1;
            }
            Ok(to.len())
        }
    }
    for beginning in [
        &b"CGSF\x01\x00"[..],
        b"CGSF\x01\x41",
        b"CGSF\x01\x01\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\x11\xff\xff",
    ] {
        let mut endless = Endless(beginning.to_vec(), 0);
        let error = FileOpener::new(&key()).open(&mut endless, Vec::new()).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::NotSealed, "{error}");
        assert!(endless.1 < 100, "{} bytes were read", endless.1);
    }
    let error = FileSealer::new(&key()).seal_slice(b"").and_then(|_| {
        let key = key();
        let many = (0..64).fold(FileSealer::new(&key), |sealer, _| sealer.also_for(&key));
        many.seal_slice(b"")
    });
    assert_eq!(error.unwrap_err().kind(), FileErrorKind::Key);
}

#[test]
fn a_passphrase_that_asks_for_too_much_work_is_refused_at_once() {
    let mut sealed = from_hex(include_str!("../vectors/file-v1.hex"));
    let passphrase_entry = sealed.windows(3).rposition(|w| w == [10, 0, 1]).unwrap();
    sealed[passphrase_entry] = 40;
    let error = FileOpener::new(&Passphrase::new("open sesame")).context(b"a vector").open_slice(&sealed);
    let error = error.unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::Key);
    assert!(error.to_string().contains("2^40"), "{error}");
}

#[test]
fn a_disk_that_fails_is_told_of_and_the_writer_does_not_go_on() {
    struct Full(usize);
    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let key = key();
    let plain = some_bytes(3 * CHUNK);
    let mut writer = FileSealer::new(&key).writer(Full(40_000)).unwrap();
    let error = writer.write_all(&plain).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
    assert!(writer.write(b"more").is_err() && writer.flush().is_err() && writer.finish().is_err());
    let error = FileSealer::new(&key).seal_parallel(&plain[..], Full(40_000)).unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::Io);
    let sealed = FileSealer::new(&key).seal_slice(&plain).unwrap();
    assert_eq!(FileOpener::new(&key).open(&sealed[..], Full(20_000)).unwrap_err().kind(), FileErrorKind::Io);
    assert_eq!(rewrap_file(&sealed[..], Full(9), &[&key], &[&key]).unwrap_err().kind(), FileErrorKind::Io);
}

#[test]
fn files_on_disk_appear_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let key = key();
    std::fs::write(path("plain"), some_bytes(5 * CHUNK)).unwrap();
    FileSealer::new(&key).seal_file(path("plain"), path("sealed")).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path("sealed")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    // Nothing is replaced, not even by itself.
    let error = FileSealer::new(&key).seal_file(path("plain"), path("sealed")).unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::Io, "{error}");
    assert!(FileSealer::new(&key).seal_file(path("plain"), path("plain")).is_err());
    assert_eq!(std::fs::read(path("plain")).unwrap(), some_bytes(5 * CHUNK));

    let mut altered = std::fs::read(path("sealed")).unwrap();
    *altered.last_mut().unwrap() ^= 1;
    std::fs::write(path("altered"), altered).unwrap();
    let error = FileOpener::new(&key).open_file(path("altered"), path("opened")).unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::Refused);
    assert!(FileOpener::new(&key).open_file(dir.path(), path("opened")).is_err(), "a directory");
    assert!(FileOpener::new(&key).open_file(path("none"), path("opened")).is_err());
    assert_eq!(names(), ["altered", "plain", "sealed"], "nothing was left behind");
}

#[test]
fn a_file_that_changes_while_it_is_sealed_is_told_whatever_its_time_says() {
    use std::os::unix::fs::FileExt;
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    std::fs::write(&from, vec![b'A'; 4 << 20]).unwrap();
    let time = std::fs::metadata(&from).unwrap().modified().unwrap();
    let once = std::sync::Once::new();
    let change = |_| {
        once.call_once(|| {
            let file = std::fs::OpenOptions::new().write(true).open(&from).unwrap();
            file.write_all_at(&vec![b'B'; 4 << 20], 0).unwrap();
            file.set_modified(time).unwrap();
        });
    };
    let to = dir.path().join("to");
    let error = FileSealer::new(&key()).progress(&change).seal_file(&from, &to).unwrap_err();
    assert!(error.to_string().contains("changed"), "{error}");
    assert!(!to.exists());
}

#[test]
fn a_cut_file_gets_no_other_keys() {
    let whole = sealed(2 * CHUNK + 100);
    let other = SealingKey::from_bytes([9; 32]);
    let rewrap = |bytes: &[u8]| rewrap_file(bytes, &mut Vec::new(), &[&key()], &[&other]);
    rewrap(&whole).unwrap();
    // Where the cut leaves less than a tag after the last whole chunk.
    for rest in [0, 1, 15] {
        let start = whole.len() - (100 + 16) + rest;
        assert_eq!(rewrap(&whole[..start]).unwrap_err().kind(), FileErrorKind::Truncated, "{rest}");
    }
    assert_eq!(
        rewrap(&whole[..whole.len() - 2 * SEALED - 116 - 1]).unwrap_err().kind(),
        FileErrorKind::Truncated
    );
}
