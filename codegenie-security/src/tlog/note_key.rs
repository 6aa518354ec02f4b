//! Keys for signed notes.

use std::fmt;
use std::str::FromStr;

use base64ct::{Base64, Encoding};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::note_error::BadNoteKey;
use crate::crypto::{SecretString, SigningKey, VerifyingKey};

/// The type byte of an Ed25519 signature over the text of a note.
const ED25519: u8 = 1;
/// What the text of a secret key begins with.
const PRIVATE: &str = "PRIVATE+KEY+";
const MAX_NAME: usize = 255;
/// A type byte and a key.
const KEY_LEN: usize = 1 + 32;
/// Characters of that in base64.
const KEY_TEXT: usize = 44;

/// May a key be named so (signed-note, Format)?
pub(super) fn is_name(name: &str) -> bool {
    let bad = |char: char| char.is_whitespace() || char < ' ' || char == '+';
    !name.is_empty() && name.len() <= MAX_NAME && !name.contains(bad)
}

/// The public half of a key that signs notes (signed-note, Ed25519 signatures).
///
/// Its text is the verifier key of signed-note: `name+id+key`, the id as 8 hexadecimal digits, the key
/// as base64 of a type byte and 32 bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct NoteVerifier {
    name: String,
    id: u32,
    key: VerifyingKey,
}

impl NoteVerifier {
    /// The key with a name, usually a URL without its scheme.
    pub fn new(name: impl Into<String>, key: VerifyingKey) -> Result<Self, BadNoteKey> {
        let name = name.into();
        let id = id_of(&name, ED25519, &key)?;
        Ok(Self { name, id, key })
    }

    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The id: 4 bytes of the hash of name and key. It tells keys apart, and proves nothing.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The key itself.
    #[must_use]
    pub fn key(&self) -> &VerifyingKey {
        &self.key
    }
}

impl fmt::Display for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_key(f, &self.name, self.id, ED25519, &self.key)
    }
}

impl fmt::Debug for NoteVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NoteVerifier({self})")
    }
}

impl FromStr for NoteVerifier {
    type Err = BadNoteKey;

    fn from_str(text: &str) -> Result<Self, BadNoteKey> {
        let (name, id, key) = read_key(text, ED25519)?;
        Ok(Self { name: name.to_owned(), id, key })
    }
}

/// A key that signs notes. Wiped when dropped; `Debug` shows the public half only.
///
/// Its text, for keeping it, is the signer key of Go's `sumdb/note`: `PRIVATE+KEY+name+id+seed`.
pub struct NoteSigner {
    key: SigningKey,
    verifier: NoteVerifier,
}

impl NoteSigner {
    /// The key with a name, usually a URL without its scheme. Use it for nothing but notes.
    pub fn new(name: impl Into<String>, key: SigningKey) -> Result<Self, BadNoteKey> {
        let verifier = NoteVerifier::new(name, key.verifying_key())?;
        Ok(Self { key, verifier })
    }

    /// Takes over a key as [`to_text`](Self::to_text) gives it. The text that the caller still holds
    /// is the caller's to wipe.
    pub fn from_text(text: &str) -> Result<Self, BadNoteKey> {
        let (name, id, bytes) = parts(text.strip_prefix(PRIVATE).ok_or(BadNoteKey::Form)?)?;
        let signer = Self::new(name, SigningKey::from_seed(*of_type(&bytes, ED25519)?))?;
        if id == format!("{:08x}", signer.verifier.id) { Ok(signer) } else { Err(BadNoteKey::Id) }
    }

    /// The secret key as text, for keeping it where it is safe.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let (mut bytes, mut key) = (Zeroizing::new([ED25519; KEY_LEN]), Zeroizing::new([0; KEY_TEXT]));
        let [_, seed @ ..] = &mut *bytes;
        seed.copy_from_slice(self.key.to_seed().expose());
        // 33 bytes are 44 characters.
        let key = Base64::encode(&*bytes, &mut *key).unwrap_or_default();
        let id = format!("+{:08x}+", self.verifier.id);
        // Of its full length at once, so that no piece is left behind.
        let parts = [PRIVATE, &self.verifier.name, &id, key];
        SecretString::new(parts.concat())
    }

    /// The public half.
    #[must_use]
    pub fn verifier(&self) -> NoteVerifier {
        self.verifier.clone()
    }

    /// The name of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.verifier.name
    }

    /// The id of the key, as in its public half.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.verifier.id
    }

    pub(super) fn key(&self) -> &SigningKey {
        &self.key
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

/// The id of a key of a type: 4 bytes of the hash of all of it (signed-note, Signatures).
pub(super) fn id_of(name: &str, kind: u8, key: &VerifyingKey) -> Result<u32, BadNoteKey> {
    if !is_name(name) {
        return Err(BadNoteKey::Name);
    }
    let id = Sha256::new_with_prefix(name).chain_update([b'\n', kind]).chain_update(key.to_bytes());
    let [a, b, c, d, ..] = <[u8; 32]>::from(id.finalize());
    Ok(u32::from_be_bytes([a, b, c, d]))
}

/// The text of a verifier key of a type.
pub(super) fn write_key(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    id: u32,
    kind: u8,
    key: &VerifyingKey,
) -> fmt::Result {
    let (mut bytes, mut text) = ([kind; KEY_LEN], [0; KEY_TEXT]);
    bytes[1..].copy_from_slice(&key.to_bytes());
    let key = Base64::encode(&bytes, &mut text).map_err(|_| fmt::Error)?;
    write!(f, "{name}+{id:08x}+{key}")
}

/// The name, the id and the key of such a text.
pub(super) fn read_key(text: &str, kind: u8) -> Result<(&str, u32, VerifyingKey), BadNoteKey> {
    let (name, claimed, bytes) = parts(text)?;
    let key = VerifyingKey::from_bytes(of_type(&bytes, kind)?).map_err(|_| BadNoteKey::Key)?;
    let id = id_of(name, kind, &key)?;
    if claimed == format!("{id:08x}") { Ok((name, id, key)) } else { Err(BadNoteKey::Id) }
}

/// The key after its type.
fn of_type(bytes: &[u8; KEY_LEN], kind: u8) -> Result<&[u8; 32], BadNoteKey> {
    let [algorithm, key @ ..] = bytes;
    if *algorithm == kind { Ok(key) } else { Err(BadNoteKey::Algorithm(*algorithm)) }
}

/// The name, the id and the key, with its type, of `name+id+key`. The key may be a secret one.
fn parts(text: &str) -> Result<(&str, &str, Zeroizing<[u8; KEY_LEN]>), BadNoteKey> {
    // Only base64 may have a plus.
    let mut parts = text.splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(BadNoteKey::Form);
    };
    let mut bytes = Zeroizing::new([0; KEY_LEN]);
    match Base64::decode(key, &mut *bytes) {
        Ok(decoded) if decoded.len() == KEY_LEN => {}
        _ => return Err(BadNoteKey::Form),
    }
    if is_name(name) { Ok((name, id, bytes)) } else { Err(BadNoteKey::Name) }
}
