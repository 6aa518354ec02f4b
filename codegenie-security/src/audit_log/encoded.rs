//! Encoded events on their way into a frame.

use zeroize::Zeroize;

/// Encoded events, one after the other.
#[derive(Debug, Default)]
pub(super) struct EncodedEvents {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl EncodedEvents {
    /// Adds an event.
    pub(super) fn push(&mut self, event: &[u8]) {
        self.bytes.extend_from_slice(event);
        self.ends.push(self.bytes.len());
    }

    /// Adds what `encode` puts at the end of the bytes; nothing if it fails.
    pub(super) fn push_with<E>(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.bytes.len();
        let encoded = encode(&mut self.bytes);
        match encoded {
            Ok(()) => self.ends.push(self.bytes.len()),
            Err(_) => self.bytes.truncate(before),
        }
        encoded
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The length of all of them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> + Clone {
        let starts = std::iter::once(&0).chain(&self.ends);
        let event = |(end, start): (&usize, &usize)| self.bytes.get(*start..*end).unwrap_or_default();
        self.ends.iter().zip(starts).map(event)
    }

    /// Without events, to be filled again. What was made large is not kept.
    pub(super) fn emptied(mut self) -> Self {
        const MOST: usize = 1 << 20;
        if self.bytes.capacity() > MOST {
            return Self::default();
        }
        self.bytes.as_mut_slice().zeroize();
        self.bytes.clear();
        self.ends.clear();
        self
    }
}

/// Whoever reads the memory of the process finds nothing of what it recorded before.
impl Drop for EncodedEvents {
    fn drop(&mut self) {
        self.bytes.as_mut_slice().zeroize();
    }
}

impl<E: AsRef<[u8]>> FromIterator<E> for EncodedEvents {
    fn from_iter<I: IntoIterator<Item = E>>(events: I) -> Self {
        let mut encoded = Self::default();
        events.into_iter().for_each(|event| encoded.push(event.as_ref()));
        encoded
    }
}
