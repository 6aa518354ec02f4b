//! Files that claim to be sealed: whatever opens was sealed by us, and nothing panics.
#![no_main]

use std::io::{Read, Seek, SeekFrom};

use codegenie_security::{FileOpener, FileSealer, Identity, Passphrase, RecipientKind, SealingKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let key = SealingKey::from_bytes([7; 32]);
    let opener = FileOpener::new(&key).context(b"fuzz");
    assert!(opener.open_slice(bytes).is_err() && opener.open_slice_parallel(bytes).is_err());
    let _ = FileOpener::key_ids(bytes);

    // The input as what comes after a genuine header, and as alterations of a genuine file.
    let sealed = FileSealer::new(&key).context(b"fuzz").seal_slice(b"plain").unwrap_or_default();
    let (header, _) = sealed.split_at(sealed.len() - 5 - 16);
    assert!(opener.open_slice(&[header, bytes].concat()).is_err());
    let mut altered = sealed.clone();
    for pair in bytes.chunks_exact(2) {
        let place = pair[0] as usize % altered.len();
        altered[place] = pair[1];
    }
    match opener.open_slice(&altered) {
        Ok(plain) => assert!(plain == b"plain" && altered == sealed),
        Err(_) => assert_ne!(altered, sealed),
    }
    if let Ok(mut reader) = opener.reader(std::io::Cursor::new(&altered)) {
        let _ = reader.seek(SeekFrom::End(-2));
        let _ = reader.read(&mut [0; 8]);
    }
    // Wrapped keys of the kinds that parse something of their own; few rounds, so that it stays quick.
    let identity = Identity::from_secret_bytes(&[&[1][..], &[5; 32]].concat());
    if let Ok(identity) = identity {
        assert_eq!(codegenie_security::KeyWrapper::unwrap_key(&identity, bytes, b"").is_ok(), false);
    }
    let passphrase = Passphrase::new("x").max_log_n(2);
    assert!(codegenie_security::KeyWrapper::unwrap_key(&passphrase, bytes, b"").is_err());
    let _ = Identity::from_secret_bytes(bytes)
        .map(|identity| identity.recipient_key().kind() == RecipientKind::XWing);
    let _ = codegenie_security::RecipientKey::from_bytes(bytes);
});
