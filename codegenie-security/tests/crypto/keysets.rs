//! Key sets: rotation, storing, and other wrappers for the same set.

use std::time::{Duration, SystemTime};

use crate::{from_hex, key};
use codegenie_security::{
    FileSealer, Identity, KeyFile, KeyWrapper, Keyset, KeysetError, OpenError, Passphrase, RecipientKind,
    SealingKey, UnwrapError,
};

const THEN: SystemTime = SystemTime::UNIX_EPOCH;

fn three() -> Keyset {
    let mut keys = Keyset::generate(THEN).unwrap();
    keys.rotate(THEN + Duration::from_secs(10)).unwrap();
    keys.rotate(THEN + Duration::from_secs(20)).unwrap();
    keys
}

/// Computed by an implementation of its own.
#[test]
fn the_committed_vector_loads() {
    let stored = from_hex(include_str!("../vectors/keyset-v1.hex"));
    let keys = Keyset::from_stored(&stored, &[&key()]).unwrap();
    let ids: Vec<_> = [[1; 32], [2; 32]].map(|bytes| SealingKey::from_bytes(bytes).id()).to_vec();
    assert_eq!(keys.ids().collect::<Vec<_>>(), ids);
    assert_eq!(keys.primary_made(), THEN + Duration::from_secs(1_800_000_000));
}

#[test]
fn old_keys_open_the_newest_seals_and_removed_ones_are_gone() {
    let mut keys = Keyset::generate(THEN).unwrap();
    let old = keys.seal(b"a", b"old").unwrap();
    let first = keys.primary_id();
    let second = keys.rotate(THEN).unwrap();
    let new = keys.seal(b"a", b"new").unwrap();
    assert_ne!(first, second);
    assert_eq!(
        (keys.open(b"a", &old).unwrap(), keys.open(b"a", &new).unwrap()),
        (b"old".to_vec(), b"new".to_vec())
    );
    assert!(matches!(keys.remove(second), Err(KeysetError::NotRemovable { .. })), "the primary stays");
    keys.remove(first).unwrap();
    assert!(matches!(keys.open(b"a", &old), Err(OpenError::WrongKey { .. })));
    assert!(matches!(keys.remove(first), Err(KeysetError::NotRemovable { .. })));
    assert!(matches!(keys.open(b"a", b"CGSB"), Err(OpenError::Truncated { .. })));
}

#[test]
fn any_of_several_wrappers_opens_a_stored_set() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let file = KeyFile::create(dir.path().join("master")).unwrap();
    let passphrase = Passphrase::new("open sesame").log_n(10);
    let identity = Identity::generate(RecipientKind::XWing).unwrap();
    let recipient = identity.recipient_key();
    let keys = three();
    keys.save(&path, &[&file, &passphrase, &recipient]).unwrap();
    let ids: Vec<_> = keys.ids().collect();
    let wrappers: [&dyn codegenie_security::KeyWrapper; 3] = [&file, &passphrase, &identity];
    for wrapper in wrappers {
        assert_eq!(Keyset::load(&path, &[wrapper]).unwrap().ids().collect::<Vec<_>>(), ids);
    }
    let error = Keyset::load(&path, &[&Passphrase::new("wrong")]).unwrap_err();
    assert!(matches!(error, KeysetError::Unwrap(UnwrapError::Refused)), "{error}");
    let error = Keyset::load(&path, &[&key()]).unwrap_err();
    assert!(error.to_string().contains(&file.key().id().to_string()), "{error}");

    // Stored again for another wrapper: the keys are the same, so what they sealed stays as it is.
    let sealed = keys.seal(b"", b"kept").unwrap();
    let loaded = Keyset::load(&path, &[&file]).unwrap();
    loaded.save(&path, &[&key()]).unwrap();
    assert!(Keyset::load(&path, &[&file]).is_err());
    assert_eq!(Keyset::load(&path, &[&key()]).unwrap().open(b"", &sealed).unwrap(), b"kept");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "nothing was left behind");
}

#[test]
fn every_flipped_bit_and_every_truncation_of_a_stored_set_is_refused() {
    let stored = three().to_stored(&[&key()]).unwrap();
    for bit in 0..stored.len() * 8 {
        let mut altered = stored.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(Keyset::from_stored(&altered, &[&key()]).is_err(), "bit {bit}");
    }
    for len in 0..stored.len() {
        assert!(Keyset::from_stored(&stored[..len], &[&key()]).is_err(), "{len} bytes");
    }
    assert!(Keyset::from_stored(&[&stored[..], &[0]].concat(), &[&key()]).is_err());
    let error = Keyset::from_stored(b"CGKS\x09", &[&key()]).unwrap_err();
    assert!(matches!(error, KeysetError::UnknownVersion { version: 9, .. }), "{error}");
}

#[test]
fn a_key_wrapped_for_a_set_is_not_one_of_a_file() {
    let stored = three().to_stored(&[&key()]).unwrap();
    // The same list of wrapped keys, put before the body of a file.
    let end = 6 + 18 + u16::from_be_bytes([stored[22], stored[23]]) as usize;
    let file = [b"CGSF\x01", &stored[5..end], &[0; 200]].concat();
    assert!(codegenie_security::FileOpener::new(&key()).open_slice(&file).is_err());
}

#[test]
fn debug_shows_ids_and_no_key() {
    let keys = Keyset::from_key(SealingKey::from_bytes([0xab; 32]), THEN);
    let debug = format!("{keys:?}");
    assert!(debug.contains(&keys.primary_id().to_string()) && !debug.contains("ababab"), "{debug}");
    assert!(!debug.contains("171"), "{debug}");
}

#[test]
fn sets_that_are_saved_at_once_leave_one_of_them_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys");
    let sets: Vec<Keyset> = (0..8).map(|_| three()).collect();
    std::thread::scope(|threads| {
        for set in &sets {
            let path = &path;
            threads.spawn(move || (0..20).for_each(|_| set.save(path, &[&key()]).unwrap()));
        }
    });
    let kept = Keyset::load(&path, &[&key()]).unwrap();
    assert!(sets.iter().any(|set| set.primary_id() == kept.primary_id()));
    let error = three().save_new(&path, &[&key()]).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::AlreadyExists));
    assert_eq!(Keyset::load(&path, &[&key()]).unwrap().primary_id(), kept.primary_id());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was left behind");
    let error = Keyset::load(dir.path().join("none"), &[&key()]).unwrap_err();
    assert_eq!(error.io_kind(), Some(std::io::ErrorKind::NotFound));
}

#[test]
fn more_passphrases_than_are_tried_are_refused_where_they_are_named() {
    let phrases: Vec<_> = (0..5).map(|n| Passphrase::new(format!("pass {n}")).log_n(10)).collect();
    let wrappers: Vec<&dyn KeyWrapper> = phrases.iter().map(|phrase| phrase as &dyn KeyWrapper).collect();
    let keys = three();
    let error = keys.to_stored(&wrappers).unwrap_err();
    assert!(error.to_string().contains("5 wrappers have the same id"), "{error}");
    let stored = keys.to_stored(&wrappers[..4]).unwrap();
    for phrase in &phrases[..4] {
        assert!(Keyset::from_stored(&stored, &[phrase]).is_ok());
    }
    let sealer =
        phrases[1..].iter().fold(FileSealer::new(&phrases[0]), |sealer, phrase| sealer.also_for(phrase));
    assert!(sealer.seal_slice(b"data").unwrap_err().to_string().contains("5 wrappers have the same id"));
}
