//! Sealed files: every way to seal agrees with every way to open.

use std::io::{Cursor, Read, Seek, SeekFrom, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{from_hex, key, some_bytes};
use codegenie_security::{
    FileErrorKind, FileOpener, FileSealer, Keyset, Passphrase, SealingKey, rewrap_file,
};
use proptest::prelude::*;

const CHUNK: usize = 16 * 1024;

/// Lengths around the borders of chunks, of a thread's turn (16 chunks) and of a batch.
const LENGTHS: [usize; 12] = [
    0,
    1,
    CHUNK - 1,
    CHUNK,
    CHUNK + 1,
    2 * CHUNK,
    16 * CHUNK,
    17 * CHUNK - 3,
    64 * CHUNK,
    128 * CHUNK,
    130 * CHUNK,
    130 * CHUNK + 77,
];

/// The file was computed by an implementation of its own, from RFC 5869, 8439 and 7914, the XChaCha draft and C2SP.
#[test]
fn the_committed_vector_opens_with_either_key() {
    let sealed = from_hex(include_str!("../vectors/file-v1.hex"));
    let opened = FileOpener::new(&key()).context(b"a vector").open_slice(&sealed).unwrap();
    assert_eq!(opened, b"attack at dawn");
    let passphrase = Passphrase::new("open sesame");
    let opened = FileOpener::new(&passphrase).context(b"a vector").open_slice(&sealed).unwrap();
    assert_eq!(opened, b"attack at dawn");
}

#[test]
fn all_ways_to_seal_and_to_open_agree_at_every_length() {
    let key = key();
    let (sealer, opener) = (FileSealer::new(&key).context(b"c"), FileOpener::new(&key).context(b"c"));
    let dir = tempfile::tempdir().unwrap();
    for len in LENGTHS {
        let plain = some_bytes(len);
        let in_parts = |part: usize| {
            let mut writer = sealer.writer(Vec::new()).unwrap();
            plain.chunks(part).for_each(|bytes| writer.write_all(bytes).unwrap());
            writer.finish().unwrap()
        };
        let (mut streamed, mut parallel) = (Vec::new(), Vec::new());
        assert_eq!(sealer.seal(&plain[..], &mut streamed).unwrap(), len as u64);
        assert_eq!(sealer.seal_parallel(&plain[..], &mut parallel).unwrap(), len as u64);
        let (from, to) = (dir.path().join(format!("{len}")), dir.path().join(format!("{len}.sealed")));
        std::fs::write(&from, &plain).unwrap();
        assert_eq!(sealer.seal_file(&from, &to).unwrap(), len as u64);
        let on_disk = std::fs::read(&to).unwrap();
        let mut ways = vec![parallel, on_disk, sealer.seal_slice_parallel(&plain).unwrap()];
        // The longer ones are for the ways that work on batches; without optimization they take their time.
        let is_short = len <= 17 * CHUNK;
        if is_short {
            ways.extend([
                in_parts(1 + len / 3),
                in_parts(CHUNK),
                streamed,
                sealer.seal_slice(&plain).unwrap(),
            ]);
        }
        for sealed in ways {
            if is_short {
                assert_eq!(opener.open_slice(&sealed).unwrap(), plain, "{len}");
            }
            assert_eq!(opener.open_slice_parallel(&sealed).unwrap(), plain, "{len}");
            let mut opened = Vec::new();
            assert_eq!(opener.open_parallel(&sealed[..], &mut opened).unwrap(), len as u64);
            assert_eq!(opened, plain, "{len}");
        }
        let back = dir.path().join(format!("{len}.opened"));
        assert_eq!(opener.open_file(&to, &back).unwrap(), len as u64);
        assert_eq!(std::fs::read(&back).unwrap(), plain);
    }
}

#[test]
fn sealing_many_bytes_byte_by_byte_is_sealing_them_at_once() {
    let plain = some_bytes(CHUNK + 100);
    let mut writer = FileSealer::new(&key()).writer(Vec::new()).unwrap();
    for byte in &plain {
        assert_eq!(writer.write(&[*byte]).unwrap(), 1);
    }
    writer.flush().unwrap();
    let sealed = writer.finish().unwrap();
    assert_eq!(FileOpener::new(&key()).open_slice(&sealed).unwrap(), plain);
}

#[cfg(feature = "aws-lc")]
#[test]
fn the_two_backends_read_what_the_other_wrote() {
    use codegenie_security::{AwsLc, RustCrypto};
    let key = key();
    for len in LENGTHS {
        let plain = some_bytes(len);
        let by_aws = FileSealer::new(&key).backend(&AwsLc).seal_slice(&plain).unwrap();
        assert_eq!(FileOpener::new(&key).backend(&RustCrypto).open_slice(&by_aws).unwrap(), plain);
        let by_rust = FileSealer::new(&key).seal_slice_parallel(&plain).unwrap();
        assert_eq!(FileOpener::new(&key).backend(&AwsLc).open_slice_parallel(&by_rust).unwrap(), plain);
    }
}

#[cfg(feature = "tokio")]
#[test]
fn the_async_ways_agree_with_the_others() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let key = key();
    for len in LENGTHS.into_iter().filter(|len| *len <= 17 * CHUNK) {
        let plain = some_bytes(len);
        let mut sealed = Vec::new();
        let count = runtime.block_on(FileSealer::new(&key).seal_async(&plain[..], &mut sealed)).unwrap();
        assert_eq!(count, len as u64);
        assert_eq!(FileOpener::new(&key).open_slice(&sealed).unwrap(), plain);
        let mut opened = Vec::new();
        runtime.block_on(FileOpener::new(&key).open_async(&sealed[..], &mut opened)).unwrap();
        assert_eq!(opened, plain);
        for cut in [3, 60, sealed.len() - 1] {
            let error =
                runtime.block_on(FileOpener::new(&key).open_async(&sealed[..cut], Vec::new())).unwrap_err();
            let kinds = [FileErrorKind::Truncated, FileErrorKind::Refused];
            assert!(kinds.contains(&error.kind()), "{cut}: {error}");
        }
    }
}

#[test]
fn progress_is_told_and_ends_at_the_end() {
    let (plain, last, calls) = (some_bytes(40 * CHUNK + 5), AtomicU64::new(0), AtomicU64::new(0));
    let note = |done: u64| {
        last.fetch_max(done, Ordering::Relaxed);
        calls.fetch_add(1, Ordering::Relaxed);
    };
    let dir = tempfile::tempdir().unwrap();
    let (from, to) = (dir.path().join("a"), dir.path().join("b"));
    std::fs::write(&from, &plain).unwrap();
    let key = key();
    let sealer = FileSealer::new(&key).progress(&note);
    let opener = FileOpener::new(&key).progress(&note);
    let sealed = FileSealer::new(&key).seal_slice(&plain).unwrap();
    let ways: [&dyn Fn(); 6] = [
        &|| assert_eq!(sealer.seal(&plain[..], Vec::new()).unwrap(), plain.len() as u64),
        &|| assert_eq!(sealer.seal_parallel(&plain[..], Vec::new()).unwrap(), plain.len() as u64),
        &|| assert_eq!(sealer.seal_file(&from, &to).unwrap(), plain.len() as u64),
        &|| assert_eq!(opener.open(&sealed[..], Vec::new()).unwrap(), plain.len() as u64),
        &|| assert_eq!(opener.open_parallel(&sealed[..], Vec::new()).unwrap(), plain.len() as u64),
        &|| assert_eq!(opener.open_file(&to, dir.path().join("c")).unwrap(), plain.len() as u64),
    ];
    for (number, way) in ways.iter().enumerate() {
        last.store(0, Ordering::Relaxed);
        calls.store(0, Ordering::Relaxed);
        way();
        assert_eq!(last.load(Ordering::Relaxed), plain.len() as u64, "way {number}");
        assert!(calls.load(Ordering::Relaxed) > 0);
    }
}

#[test]
fn rewrapping_changes_who_opens_and_nothing_else() {
    let (old, new, other) = (key(), SealingKey::from_bytes([9; 32]), SealingKey::from_bytes([8; 32]));
    let plain = some_bytes(3 * CHUNK);
    let sealed = FileSealer::new(&old).also_for(&other).context(b"x").seal_slice(&plain).unwrap();
    let mut rewrapped = Vec::new();
    let written = rewrap_file(&sealed[..], &mut rewrapped, &[&old], &[&new]).unwrap();
    assert_eq!(written, rewrapped.len() as u64);
    assert_eq!(FileOpener::new(&new).context(b"x").open_slice(&rewrapped).unwrap(), plain);
    for gone in [&old, &other] {
        let error = FileOpener::new(gone).context(b"x").open_slice(&rewrapped).unwrap_err();
        assert_eq!(error.kind(), FileErrorKind::NoKey, "{error}");
        assert!(error.to_string().contains(&new.id().to_string()));
    }
    // The chunks were copied, not sealed again.
    assert!(rewrapped.ends_with(&sealed[sealed.len() - 3 * (CHUNK + 16)..]));
    assert_eq!(FileOpener::key_ids(&sealed[..]).unwrap(), [old.id(), other.id()]);
}

#[test]
fn files_of_a_rotated_key_set_open_and_new_ones_are_for_the_new_key() {
    let now = std::time::SystemTime::UNIX_EPOCH;
    let mut keys = Keyset::generate(now).unwrap();
    let old = keys.file_sealer().seal_slice(b"old").unwrap();
    keys.rotate(now).unwrap();
    let new = keys.file_sealer().seal_slice(b"new").unwrap();
    assert_eq!(keys.file_opener().open_slice(&old).unwrap(), b"old");
    assert_eq!(FileOpener::new(keys.primary()).open_slice(&new).unwrap(), b"new");
    assert_eq!(FileOpener::new(keys.primary()).open_slice(&old).unwrap_err().kind(), FileErrorKind::NoKey);
}

#[test]
fn seeking_to_odd_places_reads_what_is_there() {
    let plain = some_bytes(2 * CHUNK);
    let sealed = FileSealer::new(&key()).seal_slice(&plain).unwrap();
    let mut reader = FileOpener::new(&key()).reader(Cursor::new(&sealed)).unwrap();
    assert_eq!(reader.plaintext_len().unwrap(), plain.len() as u64);
    // At the very end there is nothing, and from there one can go back.
    assert_eq!(reader.seek(SeekFrom::End(0)).unwrap(), plain.len() as u64);
    assert_eq!(reader.read(&mut [0; 8]).unwrap(), 0);
    assert_eq!(reader.stream_position().unwrap(), plain.len() as u64);
    assert_eq!(reader.seek(SeekFrom::Current(-3)).unwrap(), plain.len() as u64 - 3);
    let mut rest = Vec::new();
    reader.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, plain[plain.len() - 3..]);
    assert!(reader.seek(SeekFrom::End(-(plain.len() as i64) - 1)).is_err());
    assert_eq!(reader.seek(SeekFrom::Start(u64::MAX)).unwrap(), plain.len() as u64);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn reading_at_random_places_is_reading_the_plaintext(
        len in 0..5 * CHUNK,
        reads in proptest::collection::vec((0..6 * CHUNK as u64, 0..2 * CHUNK), 1..12),
    ) {
        let plain = some_bytes(len);
        let sealed = FileSealer::new(&key()).seal_slice(&plain).unwrap();
        let mut reader = FileOpener::new(&key()).reader(Cursor::new(&sealed)).unwrap();
        for (at, count) in reads {
            let at = reader.seek(SeekFrom::Start(at)).unwrap() as usize;
            let mut bytes = Vec::new();
            reader.by_ref().take(count as u64).read_to_end(&mut bytes).unwrap();
            let end = (at + count).min(len);
            prop_assert_eq!(&bytes, &plain[at..end]);
            prop_assert_eq!(reader.stream_position().unwrap(), end as u64);
        }
    }
}
