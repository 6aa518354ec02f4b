//! Sealed blobs and key files.

use crate::{from_hex, key};
use codegenie_security::{OpenError, SealingKey};
use proptest::prelude::*;

/// The vector was also computed by an implementation of its own, from RFC 5869, RFC 8439 and the XChaCha draft.
#[test]
fn the_committed_vector_opens() {
    let sealed = from_hex(include_str!("../vectors/sealed-v1.hex"));
    assert_eq!(key().open(b"codegenie vector", &sealed).unwrap(), b"attack at dawn");
}

#[test]
fn every_flipped_bit_is_refused() {
    let sealed = key().seal(b"context", b"a small secret").unwrap();
    for bit in 0..sealed.len() * 8 {
        let mut altered = sealed.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let error = key().open(b"context", &altered).unwrap_err();
        let as_expected = match bit / 8 {
            0..4 => error == OpenError::NotSealed,
            4 => matches!(error, OpenError::UnknownVersion { .. }),
            5..21 => matches!(error, OpenError::WrongKey { .. }),
            _ => error == OpenError::Refused,
        };
        assert!(as_expected, "bit {bit}: {error}");
    }
}

#[test]
fn every_truncated_or_extended_blob_is_refused() {
    let sealed = key().seal(b"", b"secret").unwrap();
    for len in 0..sealed.len() {
        let error = key().open(b"", &sealed[..len]).unwrap_err();
        let shortest = 93;
        assert_eq!(matches!(error, OpenError::Truncated { .. }), len < shortest, "{len} bytes: {error}");
    }
    assert_eq!(key().open(b"", &[sealed, vec![0]].concat()), Err(OpenError::Refused));
}

#[test]
fn another_context_or_key_is_refused() {
    let sealed = key().seal(b"context", b"secret").unwrap();
    assert_eq!(key().open(b"contexT", &sealed), Err(OpenError::Refused));
    assert_eq!(key().open(b"", &sealed), Err(OpenError::Refused));
    let other = SealingKey::generate().unwrap();
    let error = other.open(b"context", &sealed).unwrap_err();
    assert!(matches!(error, OpenError::WrongKey { .. }));
    assert!(error.to_string().contains(&key().id().to_string()));

    // The key that sealed it named as another: the commitment refuses it.
    let mut renamed = sealed;
    renamed[5..21].copy_from_slice(other.id().as_bytes());
    assert_eq!(other.open(b"context", &renamed), Err(OpenError::Refused));
}

#[test]
fn keys_of_different_purposes_differ_and_show_no_secret() {
    let (a, b) = (key().derive("cache"), key().derive("audit"));
    assert_ne!(a, b);
    assert_ne!(a, key());
    assert_eq!(a, key().derive("cache"));
    assert_ne!(a.id(), b.id());
    let debug = format!("{:?}", key());
    assert!(debug.contains("SealingKey") && debug.contains(&key().id().to_string()), "{debug}");
    assert!(!debug.contains("00010203") && !debug.contains("0, 1, 2, 3"), "{debug}");
}

proptest! {
    #[test]
    fn open_returns_what_was_sealed(
        aad in prop::collection::vec(any::<u8>(), 0..64),
        plaintext in prop::collection::vec(any::<u8>(), 0..2048),
        bytes in any::<[u8; 32]>(),
    ) {
        let key = SealingKey::from_bytes(bytes);
        let sealed = key.seal(&aad, &plaintext).unwrap();
        prop_assert_eq!(sealed.len(), plaintext.len() + 93);
        prop_assert_eq!(key.open(&aad, &sealed).unwrap(), plaintext.clone());
        prop_assert_ne!(key.seal(&aad, &plaintext).unwrap(), sealed);
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(key().open(b"", &bytes).is_err());
        let headed = [b"CGSB\x01".as_slice(), key().id().as_bytes(), &bytes].concat();
        prop_assert!(key().open(b"", &headed).is_err());
    }
}

#[cfg(unix)]
mod key_file {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
    use std::path::{Path, PathBuf};

    use codegenie_security::{KeyFile, KeyFileError};

    fn place() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("agent.key");
        (dir, path)
    }

    fn message(path: &Path) -> String {
        let message = KeyFile::load(path).unwrap_err().to_string();
        assert!(message.contains(&format!("{path:?}")) && !message.contains('\n'), "{message}");
        assert!(message.starts_with(char::is_lowercase), "{message}");
        message
    }

    #[test]
    fn a_created_key_is_private_and_loads_again() {
        let (dir, path) = place();
        let created = KeyFile::create(&path).unwrap();
        assert_eq!(created.path(), path);
        let metadata = fs::metadata(&path).unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.len(), metadata.nlink()), (0o600, 32, 1));
        assert_eq!(KeyFile::load(&path).unwrap().key(), created.key());
        assert_eq!(&KeyFile::load_or_create(&path).unwrap().into_key(), created.key());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let (dir, path) = place();
        fs::write(&path, "precious").unwrap();
        let error = KeyFile::create(&path).unwrap_err();
        assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"precious");

        let link = dir.path().join("link");
        symlink(dir.path().join("elsewhere"), &link).unwrap();
        assert!(matches!(KeyFile::create(&link).unwrap_err(), KeyFileError::Exists { .. }));
        assert!(!dir.path().join("elsewhere").exists());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn two_that_start_at_once_get_one_key() {
        let (_dir, path) = place();
        let ids: Vec<_> = std::thread::scope(|scope| {
            let workers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| KeyFile::load_or_create(&path).unwrap().key().id())).collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    }

    #[test]
    fn a_missing_key_is_said() {
        let (_dir, path) = place();
        assert!(matches!(KeyFile::load(&path).unwrap_err(), KeyFileError::Missing { .. }));
        assert!(message(&path).contains("does not exist; create one"));
        let nowhere = path.join("no").join("directory");
        assert!(KeyFile::load_or_create(&nowhere).is_err());
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (_dir, path) = place();
        KeyFile::create(&path).unwrap();
        for mode in [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o644, 0o666, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert!(
                matches!(KeyFile::load(&path).unwrap_err(), KeyFileError::OpenToOthers { .. }),
                "{mode:o}"
            );
            assert!(matches!(KeyFile::load_or_create(&path).unwrap_err(), KeyFileError::OpenToOthers { .. }));
            let message = message(&path);
            assert!(
                message.contains(&format!("mode {mode:04o}")) && message.contains("chmod 600 "),
                "{message}"
            );
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            KeyFile::load(&path).unwrap();
        }
    }

    #[test]
    fn a_symbolic_link_is_refused_even_to_a_good_key() {
        let (dir, path) = place();
        KeyFile::create(&path).unwrap();
        let link = dir.path().join("link");
        symlink(&path, &link).unwrap();
        assert!(matches!(KeyFile::load(&link).unwrap_err(), KeyFileError::Symlink { .. }));
        assert!(message(&link).contains("is a symbolic link"));
        let dangling = dir.path().join("dangling");
        symlink(dir.path().join("nowhere"), &dangling).unwrap();
        assert!(matches!(KeyFile::load_or_create(&dangling).unwrap_err(), KeyFileError::Symlink { .. }));
    }

    #[test]
    fn what_is_no_file_is_refused() {
        let (dir, path) = place();
        assert!(matches!(KeyFile::load(dir.path()).unwrap_err(), KeyFileError::NotAFile { .. }));
        let _socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
        KeyFile::load(&path).unwrap_err();
    }

    #[test]
    fn a_key_of_the_wrong_length_is_refused() {
        let (_dir, path) = place();
        for len in [0, 1, 31, 33, 64, 10_000] {
            fs::write(&path, vec![1; len]).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
            let error = KeyFile::load(&path).unwrap_err();
            assert!(matches!(error, KeyFileError::WrongLength { .. }), "{error}");
            assert!(message(&path).contains(&format!("holds {len} bytes")));
        }
    }
}
