//! Signed notes: text with signature lines below.

use std::fmt;

use base64ct::{Base64, Encoding};

use super::note_error::NoteError;
use super::note_key::{NoteSigner, NoteVerifier, is_name};
use crate::crypto::Signature;

/// What a signature line begins with: an em dash and a space.
const DASH: &str = "\u{2014} ";

/// A signature line of a note: who claims to have signed, and a signature of whatever kind.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: u32,
    signature: Vec<u8>,
}

impl NoteSignature {
    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The signature without the id.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Of a line, without its newline.
    fn parse(line: &str) -> Option<Self> {
        let (name, base64) = line.strip_prefix(DASH)?.split_once(' ')?;
        let bytes = Base64::decode_vec(base64).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        let whole = is_name(name) && !signature.is_empty();
        whole.then(|| Self {
            name: name.to_owned(),
            id: u32::from_be_bytes(*id),
            signature: signature.to_vec(),
        })
    }

    fn is_by(&self, key: &NoteVerifier) -> bool {
        self.id == key.id() && self.name == key.name()
    }
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [self.id.to_be_bytes().as_slice(), &self.signature].concat();
        write!(f, "{DASH}{} {}", self.name, Base64::encode_string(&bytes))
    }
}

impl fmt::Debug for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteSignature({}+{:08x})", self.name, self.id)
    }
}

/// A text signed by one or more keys (`c2sp.org/signed-note`). Shown as it is stored and sent.
///
/// What it says counts only when [`open`](Self::open) finds that a trusted key signed it.
///
/// ```
/// use codegenie_security::SigningKey;
/// use codegenie_security::tlog::{Note, NoteSigner};
///
/// let signer = NoteSigner::new("example.com/release", SigningKey::generate()?)?;
/// let sent = Note::sign("version 2 is out\n", &signer)?.to_string();
///
/// let note = Note::parse(sent.as_bytes())?;
/// assert_eq!(note.open(&[signer.verifier()])?.text(), "version 2 is out\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// Bytes that a note may have.
    pub const MAX_LEN: usize = 1_000_000;
    /// Signatures that a note may have.
    pub const MAX_SIGNATURES: usize = 100;

    /// A text, which ends in a newline, with the first signature.
    pub fn sign(text: impl Into<String>, signer: &NoteSigner) -> Result<Self, NoteError> {
        let text = text.into();
        check_text(&text)?;
        if !text.ends_with('\n') {
            let line = text.split('\n').count();
            return Err(NoteError::Malformed { line, what: "is the last of the text and lacks its newline" });
        }
        let mut note = Self { text, signatures: Vec::new() };
        note.add_signature(signer)?;
        Ok(note)
    }

    /// Signs as well. A signature by the same key is replaced.
    pub fn add_signature(&mut self, signer: &NoteSigner) -> Result<(), NoteError> {
        let signature = NoteSignature {
            name: signer.name().to_owned(),
            id: signer.id(),
            signature: signer.key().sign_bare(self.text.as_bytes()).to_bytes().to_vec(),
        };
        let mut signed = self.clone();
        signed.signatures.retain(|known| (known.id, &known.name) != (signature.id, &signature.name));
        signed.signatures.push(signature);
        if signed.signatures.len() > Self::MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures { max: Self::MAX_SIGNATURES });
        }
        check_len(signed.to_string().len())?;
        *self = signed;
        Ok(())
    }

    /// Reads a note. Nothing is verified yet: [`open`](Self::open) does that.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteError> {
        check_len(bytes.len())?;
        let whole = std::str::from_utf8(bytes).map_err(|error| {
            let before = bytes.iter().take(error.valid_up_to()).filter(|byte| **byte == b'\n').count();
            NoteError::Malformed { line: before + 1, what: "is not UTF-8" }
        })?;
        check_text(whole)?;
        let lines = whole.split('\n').count();
        let (text, signed) = match whole.rfind("\n\n").and_then(|at| whole.split_at_checked(at + 1)) {
            Some((text, rest)) => (text, rest.strip_prefix('\n').unwrap_or(rest)),
            None => {
                let what = "is the last, and no empty line with signatures below was found";
                return Err(NoteError::Malformed { line: lines, what });
            }
        };
        let Some(signed) = signed.strip_suffix('\n') else {
            let what = if signed.is_empty() { "should be a signature" } else { "lacks its newline" };
            return Err(NoteError::Malformed { line: lines, what });
        };
        let first = text.split('\n').count() + 1;
        if signed.split('\n').count() > Self::MAX_SIGNATURES {
            return Err(NoteError::TooManySignatures { max: Self::MAX_SIGNATURES });
        }
        let malformed = |at| NoteError::Malformed { line: first + at, what: "is not a signature" };
        let lines = signed.split('\n').enumerate();
        let signatures = lines.map(|(at, line)| NoteSignature::parse(line).ok_or_else(|| malformed(at)));
        Ok(Self { text: text.to_owned(), signatures: signatures.collect::<Result<_, _>>()? })
    }

    /// The text, if one of `keys` signed it and no signature by any of them is bad (signed-note,
    /// Signatures). Signatures by other keys do not count either way.
    pub fn open<'a>(&'a self, keys: &'a [NoteVerifier]) -> Result<OpenedNote<'a>, NoteError> {
        for (at, key) in keys.iter().enumerate() {
            let alike = |other: &NoteVerifier| {
                (other.id(), other.name()) == (key.id(), key.name()) && other.key() != key.key()
            };
            if keys.iter().take(at).any(alike) {
                return Err(NoteError::AmbiguousKeys { name: key.name().to_owned(), id: key.id() });
            }
        }
        let mut signers: Vec<&NoteVerifier> = Vec::new();
        for line in &self.signatures {
            let Some(key) = keys.iter().find(|key| line.is_by(key)) else { continue };
            let signature = <[u8; Signature::LEN]>::try_from(line.signature.as_slice());
            let holds = signature.is_ok_and(|bytes| {
                key.key().verify_bare(self.text.as_bytes(), &Signature::from_bytes(bytes)).is_ok()
            });
            if !holds {
                return Err(NoteError::BadSignature { name: line.name.clone(), id: line.id });
            }
            if !signers.contains(&key) {
                signers.push(key);
            }
        }
        if signers.is_empty() {
            Err(NoteError::Unsigned)
        } else {
            Ok(OpenedNote { text: &self.text, signers })
        }
    }

    /// The text, whoever wrote it: not to be acted upon.
    #[must_use]
    pub fn unverified_text(&self) -> &str {
        &self.text
    }

    /// The signature lines, whether they hold or not.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

/// A note that was verified.
#[derive(Clone, Debug)]
pub struct OpenedNote<'a> {
    text: &'a str,
    signers: Vec<&'a NoteVerifier>,
}

impl<'a> OpenedNote<'a> {
    /// What was signed.
    #[must_use]
    pub fn text(&self) -> &'a str {
        self.text
    }

    /// Who signed it, of the keys that were given: each once, in the order of the signatures.
    #[must_use]
    pub fn signers(&self) -> &[&'a NoteVerifier] {
        &self.signers
    }
}

fn check_len(len: usize) -> Result<(), NoteError> {
    let max = Note::MAX_LEN;
    if len > max { Err(NoteError::TooLong { len, max }) } else { Ok(()) }
}

fn check_text(text: &str) -> Result<(), NoteError> {
    let control = |line: &str| line.bytes().any(|byte| byte < b' ');
    match text.split('\n').position(control) {
        Some(at) => Err(NoteError::Malformed { line: at + 1, what: "has a control character" }),
        None => check_len(text.len()),
    }
}
