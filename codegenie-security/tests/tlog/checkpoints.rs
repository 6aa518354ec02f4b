//! Checkpoints, and proofs in one text with them.

use codegenie_security::tlog::{
    Checkpoint, CheckpointError, Hash, InclusionProof, LoggedProof, LoggedProofError, Note, NoteError,
    ProofRefused, TreeHead, leaf_hash,
};

use crate::{entry, log, signer};

const ORIGIN: &str = "example.com/behind-the-sofa";
const TEXT: &str = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

#[test]
fn the_checkpoint_of_the_specification_is_read() {
    let checkpoint: Checkpoint = TEXT.parse().unwrap();
    assert_eq!((checkpoint.origin(), checkpoint.head().size), (ORIGIN, 20_852_163));
    assert_eq!(checkpoint.head().root.to_string(), "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=");
    assert_eq!(checkpoint.to_string(), TEXT);
    assert_eq!(Checkpoint::new(ORIGIN, checkpoint.head()), Ok(checkpoint.clone()));

    let extended = checkpoint.extension("one").unwrap().extension("two more").unwrap();
    assert_eq!(extended.to_string(), format!("{TEXT}one\ntwo more\n"));
    assert_eq!(extended.to_string().parse(), Ok(extended.clone()));
    assert_eq!(extended.extensions(), ["one", "two more"]);
}

#[test]
fn what_is_no_checkpoint_is_refused_with_its_line() {
    let size = |size: &str| TEXT.replace("20852163", size);
    let root = |root: &str| TEXT.replace("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", root);
    for (text, expected) in [
        (String::new(), 1),
        ("\n".into(), 1),
        (TEXT.replace(ORIGIN, ""), 1),
        (TEXT.replace("sofa", "so\tfa"), 1),
        (ORIGIN.to_owned() + "\n", 2),
        (size(""), 2),
        (size("-1"), 2),
        (size("+1"), 2),
        (size("01"), 2),
        (size("00"), 2),
        (size("1 "), 2),
        (size("\u{0661}"), 2),
        (size("18446744073709551616"), 2),
        (size("0"), 3),
        (size("1\n"), 3),
        (root("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I"), 3),
        (root("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J="), 3),
        (root("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw=="), 3),
        (TEXT.trim_end().to_owned(), 3),
        (TEXT.to_owned() + "\n", 4),
        (TEXT.to_owned() + "one\n\n", 5),
        (TEXT.to_owned() + "one", 4),
        (TEXT.to_owned() + "o\rne\n", 4),
    ] {
        match text.parse::<Checkpoint>().unwrap_err() {
            CheckpointError::Malformed { line, .. } => assert_eq!(line, expected, "{text:?}"),
            other => panic!("{other}"),
        }
    }
    let empty = TreeHead { size: 0, root: Hash::EMPTY };
    assert_eq!(Checkpoint::new("a", empty).unwrap().to_string().parse::<Checkpoint>().unwrap().head(), empty);
    let greatest = size("18446744073709551615").parse::<Checkpoint>().unwrap();
    assert_eq!(greatest.head().size, u64::MAX);
    for origin in ["", "a\nb"] {
        assert!(Checkpoint::new(origin, empty).is_err());
    }
    for line in ["", "a\nb", "a\0"] {
        assert!(Checkpoint::new("a", empty).unwrap().extension(line).is_err());
    }
}

#[test]
fn a_checkpoint_counts_for_its_log_when_the_log_signed_it() {
    let log = log(5);
    let checkpoint = Checkpoint::new("example.com/log", log.tree().head()).unwrap();
    let note = checkpoint.sign(&signer()).unwrap();
    let key = signer().verifier();
    assert_eq!(Checkpoint::open(&note, "example.com/log", &key), Ok(checkpoint.clone()));
    let other = Checkpoint::open(&note, "example.com/other", &key).unwrap_err();
    assert!(matches!(other, CheckpointError::Origin { .. }));

    let stranger = codegenie_security::SigningKey::from_seed([8; 32]);
    let stranger = codegenie_security::tlog::NoteSigner::new("example.com/log", stranger).unwrap();
    let note = checkpoint.sign(&stranger).unwrap();
    assert_eq!(Checkpoint::open(&note, "example.com/log", &key), Err(NoteError::Unsigned.into()));
    let note = Note::sign("no checkpoint\n", &signer()).unwrap();
    let refused = Checkpoint::open(&note, "example.com/log", &key);
    assert!(matches!(refused, Err(CheckpointError::Malformed { line: 2, .. })));
}

fn logged(size: u64, index: u64) -> LoggedProof {
    let log = log(size);
    let note = Checkpoint::new("example.com/log", log.tree().head()).unwrap().sign(&signer()).unwrap();
    LoggedProof::new(index, InclusionProof::make(&log, size, index).unwrap(), note)
}

fn verified(proof: &LoggedProof, index: u64) -> Result<Checkpoint, LoggedProofError> {
    proof.verify(&leaf_hash(&entry(index)), "example.com/log", &signer().verifier())
}

#[test]
fn a_proof_in_one_text_is_verified_by_the_key_alone() {
    for size in 1..=20 {
        for index in 0..size {
            let proof = logged(size, index);
            let plain = proof.to_string();
            let with_extra = proof.clone().extra_data(vec![0, 255, 10]).to_string();
            assert_eq!(with_extra, plain.replacen('\n', "\nextra AP8K\n", 1));
            for text in [plain, with_extra] {
                let read = LoggedProof::parse(text.as_bytes()).unwrap();
                assert_eq!(read.to_string(), text);
                assert_eq!(verified(&read, index).unwrap().head().size, size);
                assert!(verified(&read, index + 1).is_err());
            }
        }
    }
    let proof = logged(5, 3).extra_data(Vec::new());
    assert_eq!(proof, logged(5, 3));
    assert_eq!(proof.path().hashes().len(), 3);
    let refused = verified(&logged(5, 3), 2).unwrap_err();
    assert_eq!(refused, LoggedProofError::Path(ProofRefused::Root));
}

#[test]
fn no_byte_of_a_proof_can_be_another_but_for_the_extra_data() {
    let whole = logged(5, 3).extra_data(*b"extra").to_string();
    let extra = whole.find("extra ").unwrap() + 6..whole.find("\nindex").unwrap();
    let bytes = whole.as_bytes();
    for place in 0..bytes.len() {
        for bit in 0..8 {
            let mut altered = bytes.to_vec();
            altered[place] ^= 1 << bit;
            let holds = LoggedProof::parse(&altered).is_ok_and(|proof| verified(&proof, 3).is_ok());
            assert!(!holds || extra.contains(&place), "bit {bit} of byte {place}");
        }
        let holds = LoggedProof::parse(&bytes[..place]).is_ok_and(|proof| verified(&proof, 3).is_ok());
        assert!(!holds, "cut at byte {place}");
    }
}

#[test]
fn what_is_no_proof_is_refused_with_its_line() {
    let whole = logged(5, 3).to_string();
    let hash = whole.lines().nth(2).unwrap();
    for (text, expected) in [
        (String::new(), 1),
        (whole.replace("@v1", "@v2"), 1),
        (whole.replacen('\n', "\r\n", 1), 1),
        (whole.replace("\n\n", "\n"), 1),
        (whole.replacen('\n', "\nextra \n", 1), 2),
        (whole.replacen('\n', "\nextra AP8\n", 1), 2),
        (whole.replacen('\n', "\nextra\n", 1), 2),
        (whole.replacen('\n', "\nextra AP8K\nextra AP8K\n", 1), 3),
        (whole.replace("index 3\n", ""), 2),
        (whole.replace("index 3", "index"), 2),
        (whole.replace("index 3", "index 03"), 2),
        (whole.replace("index 3", "index +3"), 2),
        (whole.replace("index 3", "Index 3"), 2),
        (whole.replace("index 3", "index 18446744073709551616"), 2),
        (whole.replace("index 3\n", "index 3\nindex 3\n"), 3),
        (whole.replace(hash, &format!(" {hash}")), 3),
        (whole.replacen(hash, &[hash; 63].join("\n"), 1), 67),
    ] {
        match LoggedProof::parse(text.as_bytes()).unwrap_err() {
            LoggedProofError::Malformed { line, .. } => assert_eq!(line, expected, "{text}"),
            other => panic!("{other} for {text}"),
        }
    }
    let unsigned = whole.split('\u{2014}').next().unwrap();
    assert!(matches!(LoggedProof::parse(unsigned.as_bytes()), Err(LoggedProofError::Note(_))));
    let long = vec![b'a'; LoggedProof::MAX_LEN + 1];
    assert!(matches!(LoggedProof::parse(&long), Err(LoggedProofError::TooLong { .. })));
}
