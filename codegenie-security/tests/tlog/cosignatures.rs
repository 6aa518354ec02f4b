//! Signatures of witnesses, made here from the specification.

use base64ct::{Base64, Encoding};
use codegenie_security::tlog::{BadNoteKey, CosignatureVerifier, Note, NoteError};
use ed25519_dalek::{Signer, SigningKey};
use std::time::{Duration, SystemTime};

use crate::signer;

const NAME: &str = "witness.example.com/w1";

fn witness() -> (SigningKey, CosignatureVerifier) {
    let key = SigningKey::from_bytes(&[5; 32]);
    let public = codegenie_security::VerifyingKey::from_bytes(key.verifying_key().as_bytes()).unwrap();
    (key, CosignatureVerifier::new(NAME, public).unwrap())
}

fn line(key: &SigningKey, id: u32, time: u64, text: &str) -> String {
    let signature = key.sign(format!("cosignature/v1\ntime {time}\n{text}").as_bytes()).to_bytes();
    let bytes = [id.to_be_bytes().as_slice(), &time.to_be_bytes(), &signature].concat();
    format!("\u{2014} {NAME} {}\n", Base64::encode_string(&bytes))
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[test]
fn what_the_witness_signed_is_taken_and_nothing_else() {
    let (key, witness) = witness();
    let text = "example.com/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
    let note = Note::sign(text, &signer()).unwrap();
    assert_eq!(witness.open(&note), Err(NoteError::Unsigned));
    let good = line(&key, witness.id(), 1_679_315_147, text);
    let other = "\u{2014} other.example AAAAAAAA\n";
    let (cosigned, time) = witness.cosigned(&note, &format!("{other}{good}{other}")).unwrap();
    assert_eq!((time, witness.open(&cosigned)), (at(1_679_315_147), Ok(at(1_679_315_147))));
    assert_eq!(cosigned.to_string(), format!("{note}{good}"));
    assert_eq!(cosigned.open(&[signer().verifier()]).unwrap().text(), text);
    // A later one takes its place.
    let later = line(&key, witness.id(), 1_679_315_150, text);
    assert_eq!(witness.cosigned(&cosigned, &later).unwrap().0.to_string(), format!("{note}{later}"));

    let refused = |lines: &str| witness.cosigned(&note, lines).unwrap_err();
    let bad = |error: NoteError| matches!(error, NoteError::BadSignature { name, .. } if name == NAME);
    let bytes = Base64::decode_vec(good.trim_end().rsplit(' ').next().unwrap()).unwrap();
    // After the id: time and signature.
    for place in 4..bytes.len() {
        let mut altered = bytes.clone();
        altered[place] ^= 1;
        let altered = format!("\u{2014} {NAME} {}\n", Base64::encode_string(&altered));
        assert!(bad(refused(&altered)), "byte {place}");
        assert!(bad(refused(&format!("{good}{altered}"))));
    }
    for cut in [4, 11, 12, 75] {
        let short = Base64::encode_string(&bytes[..=cut.min(bytes.len() - 2)]);
        assert!(bad(refused(&format!("\u{2014} {NAME} {short}\n"))));
    }
    assert!(bad(refused(&line(&key, witness.id(), 1, "another\n"))));
    assert!(bad(refused(&line(&key, witness.id(), 1 << 63, text))));
    assert_eq!(refused(&line(&key, witness.id() ^ 1, 1, text)), NoteError::Unsigned);
    assert!(bad(refused(&line(&SigningKey::from_bytes(&[6; 32]), witness.id(), 1, text))));
    for lines in ["", "\n"] {
        assert!(witness.cosigned(&note, lines).is_err());
    }
    // A text cannot be smuggled in before the signatures.
    assert!(matches!(refused(&format!("more\n\n{good}")), NoteError::Malformed { .. }));
}

#[test]
fn keys_of_witnesses_are_read_as_they_are_shown_and_are_no_keys_of_logs() {
    let (_, witness) = witness();
    let text = witness.to_string();
    assert_eq!(text.parse(), Ok(witness.clone()));
    assert_eq!(signer().verifier().to_string().parse::<CosignatureVerifier>(), Err(BadNoteKey::Algorithm(1)));
    assert!(text.parse::<codegenie_security::tlog::NoteVerifier>().is_err());
    assert_eq!(text.replacen(NAME, "another", 1).parse::<CosignatureVerifier>(), Err(BadNoteKey::Id));
    assert_eq!(CosignatureVerifier::new("a b", *witness.key()), Err(BadNoteKey::Name));
}
