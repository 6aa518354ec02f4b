//! Ed25519: what holds, and what a lax verifier would let hold.

use codegenie_security::{Signature, SigningKey, VerifyingKey};
use ed25519_dalek::Verifier;

use crate::from_hex;

#[test]
fn a_signature_holds_for_its_context_and_message_only() {
    let key = SigningKey::from_seed([5; 32]);
    let public = key.verifying_key();
    let signature = key.sign(b"ab", b"c");
    public.verify(b"ab", b"c", &signature).unwrap();
    for (context, message) in [(&b"a"[..], &b"bc"[..]), (b"abc", b""), (b"", b"abc"), (b"ab", b"d")] {
        assert!(public.verify(context, message, &signature).is_err());
    }
    assert!(public.verify_bare(b"abc", &signature).is_err());
    assert!(SigningKey::from_seed([6; 32]).verifying_key().verify(b"ab", b"c", &signature).is_err());
    assert_eq!(SigningKey::from_seed(key.to_seed().expose().try_into().unwrap()).verifying_key(), public);
    assert!(!format!("{key:?}").contains(&"05".repeat(16)));
    for bit in 0..512 {
        let mut altered = signature.to_bytes();
        altered[bit / 8] ^= 1 << (bit % 8);
        assert!(public.verify(b"ab", b"c", &Signature::from_bytes(altered)).is_err(), "bit {bit}");
    }
}

/// Test 2 of RFC 8032, section 7.1.
#[test]
fn the_vector_of_rfc_8032_is_signed_alike() {
    let seed = from_hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
    let key = SigningKey::from_seed(seed.try_into().unwrap());
    let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    assert_eq!(key.verifying_key().to_string(), public);
    let expected = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                    085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";
    assert_eq!(key.sign_bare(&[0x72]).to_bytes().to_vec(), from_hex(expected));
}

/// The encodings of the points of small order, of which six are not canonical.
const SMALL_ORDER: [&str; 14] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// Under a key of small order, one signature of zeros holds for one message in eight: shown with a lax
/// verifier first.
#[test]
fn keys_and_commitments_of_small_order_are_refused() {
    let mut lax = 0;
    for key in SMALL_ORDER {
        let bytes: [u8; 32] = from_hex(key).try_into().unwrap();
        assert!(VerifyingKey::from_bytes(&bytes).is_err(), "{key}");
        let Ok(key) = ed25519_dalek::VerifyingKey::from_bytes(&bytes) else { continue };
        for commitment in SMALL_ORDER {
            let signature = [from_hex(commitment), vec![0; 32]].concat();
            let signature = ed25519_dalek::Signature::from_bytes(&signature.try_into().unwrap());
            lax += (0..64u8).filter(|message| key.verify(&[*message], &signature).is_ok()).count();
        }
    }
    assert!(lax > 100, "a lax verifier accepts forged signatures, {lax} of these");
}

/// C2SP's CCTV, all of `ed25519/ed25519vectors.json`: edge cases of both points. Only one vector has neither a
/// component of low order nor an encoding that is not canonical.
#[test]
fn edge_cases_of_cctv_are_refused() {
    let (mut run, mut held, mut lax) = (0, Vec::new(), 0);
    for line in include_str!("../vectors/cctv-ed25519.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut fields = line.split('|');
        let [number, key, signature, message, flags] = std::array::from_fn(|_| fields.next().unwrap());
        let key: [u8; 32] = from_hex(key).try_into().unwrap();
        let signature: [u8; 64] = from_hex(signature).try_into().unwrap();
        // What a verifier without these checks accepts shows that the vectors are right.
        let plain = ed25519_dalek::VerifyingKey::from_bytes(&key).is_ok_and(|key| {
            let signature = ed25519_dalek::Signature::from_bytes(&signature);
            ed25519_dalek::Verifier::verify(&key, message.as_bytes(), &signature).is_ok()
        });
        assert_eq!(plain, !flags.contains(['e', 'M']), "number {number}");
        lax += usize::from(plain);
        let signature = Signature::from_bytes(signature);
        let key = VerifyingKey::from_bytes(&key);
        if key.is_ok_and(|key| key.verify_bare(message.as_bytes(), &signature).is_ok()) {
            held.push(number);
        }
        run += 1;
    }
    assert_eq!((run, lax, held), (914, 208, vec!["305"]));
}
