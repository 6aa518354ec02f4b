//! Sealing to somebody's public key.

use crate::some_bytes;
use codegenie_security::{
    FileErrorKind, FileOpener, FileSealer, Identity, KeyWrapper, RecipientKey, RecipientKind, SealingKey,
    UnwrapError,
};

const KINDS: [RecipientKind; 2] = [RecipientKind::X25519, RecipientKind::XWing];

#[test]
fn each_of_several_recipients_opens_a_file_and_nobody_else() {
    let [a, b] = KINDS.map(|kind| Identity::generate(kind).unwrap());
    let stranger = Identity::generate(RecipientKind::X25519).unwrap();
    let (to_a, to_b) = (a.recipient_key(), b.recipient_key());
    let plain = some_bytes(40_000);
    let sealed = FileSealer::new(&to_a).also_for(&to_b).seal_slice(&plain).unwrap();
    for identity in [&a, &b] {
        assert_eq!(FileOpener::new(identity).open_slice(&sealed).unwrap(), plain);
    }
    assert_eq!(FileOpener::new(&stranger).open_slice(&sealed).unwrap_err().kind(), FileErrorKind::NoKey);
    // Whoever seals cannot open what was sealed.
    let error = FileOpener::new(&to_a).open_slice(&sealed).unwrap_err();
    assert_eq!(error.kind(), FileErrorKind::Key, "{error}");
}

#[test]
fn wrapped_keys_differ_each_time_and_every_flipped_bit_is_refused() {
    for kind in KINDS {
        let identity = Identity::generate(kind).unwrap();
        let key = SealingKey::from_bytes([3; 32]);
        let wrapped = identity.recipient_key().wrap_key(&key, b"aad").unwrap();
        assert_ne!(wrapped, identity.recipient_key().wrap_key(&key, b"aad").unwrap());
        assert_eq!(identity.unwrap_key(&wrapped, b"aad").unwrap(), key);
        assert_eq!(identity.unwrap_key(&wrapped, b"other").unwrap_err(), UnwrapError::Refused);
        assert_eq!(
            identity.recipient_key().unwrap_key(&wrapped, b"aad").unwrap_err(),
            UnwrapError::PublicOnly
        );
        for len in [0, 1, 47, 48, wrapped.len() - 1] {
            assert!(identity.unwrap_key(&wrapped[..len], b"aad").is_err());
        }
        // Of the long ciphertext of X-Wing one bit a byte, of the rest all.
        let bits =
            (0..wrapped.len() * 8).filter(|bit| kind == RecipientKind::X25519 || bit % 8 == bit / 8 % 8);
        for bit in bits {
            let mut altered = wrapped.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            let unwrapped = identity.unwrap_key(&altered, b"aad");
            // X25519 ignores the topmost bit of a public key; HPKE binds it all the same.
            assert_eq!(unwrapped.unwrap_err(), UnwrapError::Refused, "{kind:?}, bit {bit}");
        }
    }
}

#[test]
fn keys_come_back_from_their_bytes_and_others_do_not() {
    for kind in KINDS {
        let identity = Identity::generate(kind).unwrap();
        let again = Identity::from_secret_bytes(identity.to_secret_bytes().expose()).unwrap();
        assert_eq!(again.recipient_key(), identity.recipient_key());
        let public = identity.recipient_key().to_bytes();
        assert_eq!(RecipientKey::from_bytes(&public).unwrap(), identity.recipient_key());
        assert_eq!(RecipientKey::from_bytes(&public).unwrap().id(), identity.key_id());
        assert!(RecipientKey::from_bytes(&public[..public.len() - 1]).is_err());
        assert!(RecipientKey::from_bytes(&[&public[..], &[0]].concat()).is_err());
        assert!(!format!("{identity:?}").contains(&format!("{:?}", identity.to_secret_bytes().expose())));
    }
    for bytes in [&[][..], &[0; 33], &[3; 33], &[1; 32], &[2; 33]] {
        assert!(RecipientKey::from_bytes(bytes).is_err(), "{bytes:?}");
    }
    assert!(Identity::from_secret_bytes(&[1; 32]).is_err());
    assert!(Identity::from_secret_bytes(&[9; 33]).is_err());
}

/// A public key of small order would give a secret that everybody knows.
#[test]
fn nothing_is_wrapped_for_a_key_of_small_order() {
    let zero = RecipientKey::from_bytes(&[&[1][..], &[0; 32]].concat());
    let refused = zero
        .map_err(|_| ())
        .and_then(|key| key.wrap_key(&SealingKey::from_bytes([3; 32]), b"").map_err(|_| ()));
    assert!(refused.is_err());
}
