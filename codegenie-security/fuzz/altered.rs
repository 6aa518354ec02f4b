//! Bytes, altered in some places.

/// `whole`, with a mask over the byte at each place; a place at the end adds one.
pub(crate) fn altered(whole: &[u8], changes: Vec<(u16, u8)>) -> Vec<u8> {
    let mut altered = whole.to_vec();
    for (place, mask) in changes {
        let place = usize::from(place) % (altered.len() + 1);
        match altered.get_mut(place) {
            Some(byte) => *byte ^= mask,
            None => altered.push(mask),
        }
    }
    altered
}
