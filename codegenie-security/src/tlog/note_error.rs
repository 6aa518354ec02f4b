//! What can be wrong with notes and the keys for them.

/// Why a note was not made, or not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoteError {
    /// Text or signatures that no note has.
    #[error("line {line} of the note {what}; make it again, or get it again from its source")]
    #[non_exhaustive]
    Malformed {
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// More bytes than a note may have.
    #[error("the note has {len} bytes, more than {max}; split what it says")]
    #[non_exhaustive]
    TooLong {
        /// Its bytes.
        len: usize,
        /// How many it may have.
        max: usize,
    },
    /// More signatures than a note may have.
    #[error("the note has more than {max} signatures; leave out those that nobody asks for")]
    #[non_exhaustive]
    TooManySignatures {
        /// How many it may have.
        max: usize,
    },
    /// Of two different keys that were given, a signature could be by either.
    #[error("two keys are named {name}+{id:08x}; give only the one that is trusted")]
    #[non_exhaustive]
    AmbiguousKeys {
        /// The name of both.
        name: String,
        /// The id of both.
        id: u32,
    },
    /// A signature by a known key that does not hold.
    #[error("note refused: the signature of {name}+{id:08x} does not hold; do not use what the note says")]
    #[non_exhaustive]
    BadSignature {
        /// The name of the key.
        name: String,
        /// The id of the key.
        id: u32,
    },
    /// No signature by a known key.
    #[error("note refused: none of the given keys signed it; give the key of who should have")]
    Unsigned,
}

/// Text that is no key for notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadNoteKey {
    /// A name that no key may have.
    #[error(
        "a key for notes is named by 1 to 255 bytes without spaces, control characters or `+`; rename it"
    )]
    Name,
    /// A text of another form.
    #[error(
        "not a key for notes, which is `name+id+key`, or `PRIVATE+KEY+name+id+key` if secret; copy it again"
    )]
    Form,
    /// An id that is not that of the name and the key.
    #[error("the id of the key for notes is not that of its name and key; copy it again from its owner")]
    Id,
    /// A key for signatures of another kind: not Ed25519 over the whole text, or not over a witness's statement.
    #[error(
        "the key is of type {0:#04x}; ask its owner for one of Ed25519: 0x01 for notes, 0x04 for cosignatures"
    )]
    Algorithm(u8),
    /// No Ed25519 key.
    #[error("the key for notes is no ed25519 public key that can be trusted; get it again from its owner")]
    Key,
}
