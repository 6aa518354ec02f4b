//! Chains from strangers: none counts, none panics.
#![no_main]

use codegenie_security::{ChainToken, ChainVerifier, SigningKey};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let verifier = ChainVerifier::new(SigningKey::from_seed([7; 32]).verifying_key(), "fuzz");
    let texts = [
        String::from_utf8_lossy(bytes).into_owned(),
        format!("cgc_{}", encode(bytes)),
        format!("cgc_{}", encode(&[b"CGCH\x01\x01", bytes].concat())),
    ];
    for text in texts {
        assert!(verifier.verify(&text, std::time::SystemTime::UNIX_EPOCH).is_err());
        if let Ok(token) = ChainToken::from_text(text) {
            let _ = token.revocation_ids();
            let _ = token.seal();
        }
    }
});

fn encode(bytes: &[u8]) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::encode_string(bytes)
}
