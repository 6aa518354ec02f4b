//! Keys, signatures and ids from outside: what is taken comes out as it went in, and nothing panics.
#![no_main]

use codegenie_security::{KeyFile, RecipientKey, SessionId, Signature, VerifyingKey};
use std::sync::OnceLock;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((first, rest)) = bytes.split_first_chunk::<32>() {
        if let Ok(key) = VerifyingKey::from_bytes(first) {
            assert_eq!(key.to_bytes(), *first);
            if let Some((signature, message)) = rest.split_first_chunk::<64>() {
                // Made up: nobody has the key.
                let _ = key.verify(b"fuzz", message, &Signature::from_bytes(*signature));
            }
        }
    }
    if let Ok(key) = RecipientKey::from_bytes(bytes) {
        assert_eq!(
            RecipientKey::from_bytes(&key.to_bytes()).map(|again| again.to_bytes()).ok(),
            Some(key.to_bytes())
        );
    }
    let text = String::from_utf8_lossy(bytes);
    if let Some(id) = SessionId::parse(&text) {
        assert_eq!(SessionId::parse(&id.to_string()), Some(id));
    }
    static DIR: OnceLock<std::path::PathBuf> = OnceLock::new();
    let dir = DIR.get_or_init(|| {
        let dir = std::env::temp_dir().join(format!("codegenie-fuzz-keys-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory for the key file");
        dir
    });
    let path = dir.join("key");
    {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let file = std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(bytes)).expect("the key file is written");
    }
    let _ = KeyFile::load(&path);
});
