//! Tokens and secrets: what is kept, and what is never shown.

use codegenie_security::{SecretBytes, SecretString, Token, TokenHash};

#[test]
fn a_token_matches_its_hash_and_no_other() {
    let token = Token::generate("cgx_").unwrap();
    let text = token.expose().to_owned();
    assert!(text.starts_with("cgx_") && text.len() == 47);
    assert!(text[4..].bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'));
    let kept = TokenHash::from_bytes(*token.hash().as_bytes());
    assert!(kept.matches(&text));
    assert!(!kept.matches(&text[..46]) && !kept.matches("") && !kept.matches(&format!("{text}A")));
    assert_ne!(kept, Token::generate("cgx_").unwrap().hash());
    assert_eq!(format!("{token:?}"), "Token(hidden)");
    assert!(!format!("{kept:?}").contains(&text));
}

#[test]
fn secrets_show_nothing_and_compare_by_content() {
    let (a, b) = (SecretString::from("hunter2"), SecretString::new("hunter2".to_owned()));
    assert_eq!(a, b);
    assert_ne!(a, SecretString::from("hunter3"));
    assert!(!format!("{a:?}").contains("hunter"));
    let bytes = SecretBytes::new(b"hunter2".to_vec());
    assert_eq!((bytes.len(), bytes.is_empty(), bytes.expose()), (7, false, &b"hunter2"[..]));
    assert_ne!(bytes, SecretBytes::default());
    assert!(!format!("{bytes:?}").contains("104"));
}
