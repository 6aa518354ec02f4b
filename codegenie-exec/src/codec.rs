//! The bytes of journals: integers little endian, byte strings with their length before them.

/// An extended attribute: name and value.
pub(crate) type Attribute = (Vec<u8>, Vec<u8>);

/// Mode, owner and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: (i64, i64),
    pub(crate) extended: Vec<Attribute>,
}

/// FNV-1a, 64 bits: finds what is torn, not what is forged; the directory is private.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

pub(crate) fn put(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn put_attributes(out: &mut Vec<u8>, attributes: &Attributes) {
    for number in [attributes.mode, attributes.uid, attributes.gid] {
        put(out, number.into());
    }
    put(out, attributes.mtime.0.cast_unsigned());
    put(out, attributes.mtime.1.cast_unsigned());
    put(out, attributes.extended.len() as u64);
    for (name, value) in &attributes.extended {
        put_bytes(out, name);
        put_bytes(out, value);
    }
}

/// Reads bytes that nobody vouches for. `None`: they are not what was asked for.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    pub(crate) fn number(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    pub(crate) fn attributes(&mut self) -> Option<Attributes> {
        let mode = self.small().filter(|mode| *mode <= 0o7777)?;
        let (uid, gid) = (self.small()?, self.small()?);
        let mtime = (self.number()?.cast_signed(), self.number()?.cast_signed());
        if !(0..1_000_000_000).contains(&mtime.1) {
            return None;
        }
        let mut extended = Vec::new();
        for _ in 0..self.number()? {
            let (name, value) = (self.bytes()?, self.bytes()?);
            extended.push((name.to_vec(), value.to_vec()));
        }
        Some(Attributes { mode, uid, gid, mtime, extended })
    }
}
