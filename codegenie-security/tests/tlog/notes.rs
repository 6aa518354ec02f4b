//! Signed notes and their keys: what holds, and what looks like it.

use codegenie_security::SigningKey;
use codegenie_security::tlog::{BadNoteKey, Note, NoteError, NoteSigner, NoteVerifier};
use proptest::prelude::*;

use crate::signer;

const TEXT: &str = "Ognuno sta solo\n\ned è subito sera.\n";

fn other() -> NoteSigner {
    NoteSigner::new("other.example", SigningKey::from_seed([6; 32])).unwrap()
}

/// A note by the signer, changed before it is read and opened.
fn opened(change: impl FnOnce(String) -> String) -> Result<String, NoteError> {
    let note = Note::sign(TEXT, &signer()).unwrap().to_string();
    let keys = [signer().verifier(), other().verifier()];
    let note = Note::parse(change(note).as_bytes())?;
    note.open(&keys).map(|opened| opened.text().to_owned())
}

#[test]
fn a_note_is_what_was_signed() {
    let mut note = Note::sign(TEXT, &signer()).unwrap();
    let first = note.to_string();
    assert!(first.starts_with(&format!("{TEXT}\n\u{2014} example.com/log ")));
    note.add_signature(&other()).unwrap();
    note.add_signature(&signer()).unwrap();
    assert_eq!(note.signatures().len(), 2);
    let sent = note.to_string();
    let read = Note::parse(sent.as_bytes()).unwrap();
    assert_eq!(read, note);

    let keys = [signer().verifier(), other().verifier()];
    let opened = read.open(&keys).unwrap();
    assert_eq!((opened.text(), opened.signers()), (TEXT, &[&keys[1], &keys[0]][..]));
    assert_eq!(read.open(&keys[..1]).unwrap().signers(), [&keys[0]]);
    assert_eq!(read.open(&[]).unwrap_err(), NoteError::Unsigned);
    assert_eq!(read.unverified_text(), TEXT);
}

#[test]
fn no_byte_of_a_note_can_be_another() {
    let sent = Note::sign(TEXT, &signer()).unwrap().to_string().into_bytes();
    let keys = [signer().verifier()];
    for place in 0..sent.len() {
        for bit in 0..8 {
            let mut altered = sent.clone();
            altered[place] ^= 1 << bit;
            let opened = Note::parse(&altered).map(|note| note.open(&keys).is_ok());
            assert!(!opened.unwrap_or(false), "bit {bit} of byte {place}");
        }
        let cut = Note::parse(&sent[..place]).map(|note| note.open(&keys).is_ok());
        assert!(!cut.unwrap_or(false), "cut at byte {place}");
    }
}

#[test]
fn signatures_by_strangers_do_not_count_and_bad_ones_do() {
    assert_eq!(opened(|note| note).unwrap(), TEXT);
    let line = "\u{2014} stranger.example AAAAAWtpbmQ=\n";
    assert_eq!(opened(|note| note + line).unwrap(), TEXT);
    // The name of a known key with another id, and the other way round.
    let id = signer().id();
    let base64 = |id: u32, rest: &[u8]| {
        use base64ct::{Base64, Encoding};
        Base64::encode_string(&[&id.to_be_bytes(), rest].concat())
    };
    let renamed = |name: &str, id| format!("\u{2014} {name} {}\n", base64(id, &[0; 64]));
    assert_eq!(opened(|note| note + &renamed("example.com/log", id ^ 1)).unwrap(), TEXT);
    assert_eq!(opened(|note| note + &renamed("example.com/loh", id)).unwrap(), TEXT);
    // Both: a signature that has to hold.
    let bad = |error| matches!(error, NoteError::BadSignature { name, .. } if name == "example.com/log");
    assert!(bad(opened(|note| note + &renamed("example.com/log", id)).unwrap_err()));
    let short = format!("\u{2014} example.com/log {}\n", base64(id, b"short"));
    assert!(bad(opened(|note| note + &short).unwrap_err()));
    assert!(bad(opened(|note| note.replace("sera", "Sera")).unwrap_err()));
    // Twice the same is once.
    let twice = opened(|note| {
        let line = note.lines().last().unwrap().to_owned();
        format!("{note}{line}\n")
    });
    assert_eq!(twice.unwrap(), TEXT);
    // By strangers alone.
    let stranger = NoteSigner::new("example.com/log", SigningKey::from_seed([9; 32])).unwrap();
    let note = Note::sign(TEXT, &stranger).unwrap();
    assert_eq!(note.open(&[signer().verifier()]).unwrap_err(), NoteError::Unsigned);
}

#[test]
fn what_is_no_note_is_refused_with_its_line() {
    let line = |change: fn(String) -> String| match opened(change).unwrap_err() {
        NoteError::Malformed { line, .. } => line,
        other => panic!("{other}"),
    };
    assert_eq!(line(|_| String::new()), 1);
    assert_eq!(line(|_| TEXT.replace("\n\n", "\n")), 3);
    assert_eq!(line(|note| note.trim_end().to_owned()), 5);
    assert_eq!(line(|note| note + "\n"), 7);
    assert_eq!(line(|note| note + "\u{2014} stranger.example AAAAAWtpbmQ="), 6);
    assert_eq!(line(|note| note.replace("solo", "so\tlo")), 1);
    assert_eq!(line(|note| note.replace('\n', "\r\n")), 1);
    for bad in [
        "",
        "- stranger.example AAAAAWtpbmQ=",
        "\u{2014}stranger.example AAAAAWtpbmQ=",
        "\u{2014}  AAAAAWtpbmQ=",
        "\u{2014} stranger.example",
        "\u{2014} stranger.example ",
        "\u{2014} stranger.example  AAAAAWtpbmQ=",
        "\u{2014} stranger.example AAAAAWtpbmQ= ",
        "\u{2014} stranger.example AAAAAWtpbmQ",
        "\u{2014} stranger.example AAAAAWtpbmR=",
        "\u{2014} stranger.example AAAAAQ==",
        "\u{2014} stranger+example AAAAAWtpbmQ=",
        "\u{2014} stranger\u{a0}example AAAAAWtpbmQ=",
        "\u{2014} stranger\u{2003}example AAAAAWtpbmQ=",
    ] {
        let refused = opened(|note| format!("{note}{bad}\n")).unwrap_err();
        assert!(matches!(refused, NoteError::Malformed { line: 6 | 7, .. }), "{bad:?}: {refused}");
        assert!(!refused.to_string().contains('\n'));
    }
    let not_utf8 = [TEXT.as_bytes(), b"\xff\n\n\xe2\x80\x94 a AAAAAWtpbmQ=\n"].concat();
    assert!(matches!(Note::parse(&not_utf8).unwrap_err(), NoteError::Malformed { line: 4, .. }));
}

#[test]
fn only_texts_that_end_in_a_newline_without_control_characters_are_signed() {
    for (text, line) in [("", Some(1)), ("a", Some(1)), ("a\nb", Some(2)), ("a\nb\rc\n", Some(2))] {
        let refused = Note::sign(text, &signer()).unwrap_err();
        assert!(
            matches!(refused, NoteError::Malformed { line: found, .. } if Some(found) == line),
            "{text:?}"
        );
    }
    for text in [
        "\n",
        "\n\n\n",
        "a\n\n",
        "\u{2014} a AAAAAWtpbmQ=\n",
        "\n\u{2014} a AAAAAWtpbmQ=\n",
        "\u{7f}\u{2028}\n",
    ] {
        let note = Note::sign(text, &signer()).unwrap();
        let read = Note::parse(note.to_string().as_bytes()).unwrap();
        assert_eq!(read.open(&[signer().verifier()]).unwrap().text(), text);
    }
}

#[test]
fn a_note_is_bounded() {
    let line = "\u{2014} stranger.example AAAAAWtpbmQ=\n";
    assert!(opened(|note| note + &line.repeat(Note::MAX_SIGNATURES - 1)).is_ok());
    let refused = opened(|note| note + &line.repeat(Note::MAX_SIGNATURES)).unwrap_err();
    assert!(matches!(refused, NoteError::TooManySignatures { .. }));

    let mut note = Note::sign("a\n", &signer()).unwrap();
    for number in 1..Note::MAX_SIGNATURES {
        let key = SigningKey::from_seed([5; 32]);
        note.add_signature(&NoteSigner::new(number.to_string(), key).unwrap()).unwrap();
    }
    let before = note.clone();
    assert!(matches!(note.add_signature(&other()), Err(NoteError::TooManySignatures { .. })));
    assert_eq!(note, before);

    let rest = Note::sign("\n", &signer()).unwrap().to_string().len() - 1;
    let text = |len: usize| "a".repeat(len - 1) + "\n";
    let longest = Note::sign(text(Note::MAX_LEN - rest), &signer()).unwrap().to_string();
    assert_eq!(longest.len(), Note::MAX_LEN);
    assert!(Note::parse(longest.as_bytes()).is_ok());
    assert!(matches!(Note::sign(text(Note::MAX_LEN - rest + 1), &signer()), Err(NoteError::TooLong { .. })));
    assert!(matches!(Note::parse(("a".to_owned() + &longest).as_bytes()), Err(NoteError::TooLong { .. })));
}

/// The key of the documentation of Go's `sumdb/note`.
const VKEY: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const SKEY: &str = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
const SIGNED: &str = "If you think cryptography is the answer to your problem,\n\
    then you don't know what your problem is.\n\
    \n\
    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

#[test]
fn the_note_and_the_keys_of_go_are_ours_as_well() {
    let verifier: NoteVerifier = VKEY.parse().unwrap();
    assert_eq!(
        (verifier.name(), verifier.id(), verifier.to_string()),
        ("PeterNeumann", 0xc74f20a3, VKEY.into())
    );
    let note = Note::parse(SIGNED.as_bytes()).unwrap();
    let keys = [verifier];
    let text = note.open(&keys).unwrap().text();
    let signer = NoteSigner::from_text(SKEY).unwrap();
    assert_eq!(signer.to_text().expose(), SKEY);
    assert_eq!(Note::sign(text, &signer).unwrap().to_string(), SIGNED);
    assert!(!format!("{signer:?} {:?}", signer.to_text()).contains("AYEKFAL"));
}

#[test]
fn no_other_text_is_a_key() {
    for (text, expected) in [
        ("", BadNoteKey::Form),
        ("PeterNeumann+c74f20a3", BadNoteKey::Form),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T", BadNoteKey::Form),
        ("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n", BadNoteKey::Form),
        ("PeterNeumann+C74F20A3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadNoteKey::Id),
        ("PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadNoteKey::Id),
        ("PeterNeumanm+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadNoteKey::Id),
        ("PeterNeumann+c74f20a3+Ahpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadNoteKey::Algorithm(2)),
        ("Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadNoteKey::Name),
        ("+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", BadNoteKey::Name),
        ("PeterNeumann+c74f20a3+AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", BadNoteKey::Key),
    ] {
        assert_eq!(text.parse::<NoteVerifier>().unwrap_err(), expected, "{text}");
    }
    for place in 0..SKEY.len() {
        let mut altered = SKEY.as_bytes().to_vec();
        altered[place] ^= 1;
        assert!(NoteSigner::from_text(std::str::from_utf8(&altered).unwrap()).is_err(), "byte {place}");
    }
    let key = || SigningKey::from_seed([5; 32]);
    for name in ["", "a b", "a+b", "a\nb", "a\u{0}b", "a\u{3000}b", &"a".repeat(256)] {
        assert_eq!(NoteSigner::new(name, key()).unwrap_err(), BadNoteKey::Name, "{name:?}");
    }
    assert!(NoteSigner::new("a".repeat(255), key()).is_ok());
}

#[test]
fn the_same_key_may_be_given_twice() {
    let note = Note::sign(TEXT, &signer()).unwrap();
    let keys = [signer().verifier(), signer().verifier()];
    assert_eq!(note.open(&keys).unwrap().signers().len(), 1);
}

proptest! {
    #[test]
    fn any_text_is_read_as_it_was_signed(lines in prop::collection::vec("[^\\x00-\\x1f]{0,20}", 1..8)) {
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let note = Note::sign(text.clone(), &signer()).unwrap();
        let read = Note::parse(note.to_string().as_bytes()).unwrap();
        prop_assert_eq!(&read, &note);
        let keys = [signer().verifier()];
        prop_assert_eq!(read.open(&keys).unwrap().text(), text);
    }
}
