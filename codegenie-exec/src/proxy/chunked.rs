//! A body in chunks: where it ends, and nothing that two readers could understand differently. Pure.

/// Reads a chunked body piece by piece.
///
/// Chunks are handed on under heads of our own, so that the server reads what was read here: extensions
/// and trailers are dropped.
#[derive(Clone, Debug, Default)]
pub struct Chunked {
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// In a size: its digits so far, the value so far.
    #[default]
    SizeStart,
    Size(u8, u64),
    SizeEnd(u64),
    Data(u64),
    DataEnd,
    DataEndLf,
    /// After the last chunk; whether the line has anything in it, and how many bytes of trailers were seen.
    Trailer(bool, u16),
    TrailerLf(bool, u16),
    Extended(u64, u16),
    Done,
}

/// What to do with the bytes that were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece {
    /// So many bytes of framing, to be left out.
    Framing(usize),
    /// So many bytes of data, to be handed on.
    Data(usize),
    /// The body has ended; what follows is not its own.
    End,
}

/// Not a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkError;

impl Chunked {
    /// What the next bytes are. Call it with the rest after each answer; not with nothing.
    pub fn next(&mut self, bytes: &[u8]) -> Result<Piece, ChunkError> {
        if self.state == State::Done {
            return Ok(Piece::End);
        }
        if let State::Data(rest) = &mut self.state {
            let taken = usize::try_from(*rest).unwrap_or(usize::MAX).min(bytes.len());
            *rest -= taken as u64;
            if *rest == 0 {
                self.state = State::DataEnd;
            }
            return Ok(Piece::Data(taken));
        }
        let mut used = 0;
        for byte in bytes {
            self.state = step(self.state, *byte)?;
            used += 1;
            if matches!(self.state, State::Data(_) | State::Done) {
                break;
            }
        }
        Ok(Piece::Framing(used))
    }

    /// Whether the body has ended.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }
}

const MAX_TRAILERS: u16 = 4096;
const MAX_EXTENSION: u16 = 256;

fn step(state: State, byte: u8) -> Result<State, ChunkError> {
    let visible = matches!(byte, b'\t' | 0x20..=0x7e);
    Ok(match (state, byte) {
        (State::SizeStart, _) => State::Size(1, hex(byte)?),
        (State::Size(_, size), b'\r') => State::SizeEnd(size),
        (State::Size(_, size), b';') => State::Extended(size, 0),
        // 15 digits do not overflow.
        (State::Size(digits @ 1..=14, size), _) => State::Size(digits + 1, size * 16 + hex(byte)?),
        (State::Extended(size, _), b'\r') => State::SizeEnd(size),
        (State::Extended(size, n), _) if visible && n < MAX_EXTENSION => State::Extended(size, n + 1),
        (State::SizeEnd(0), b'\n') => State::Trailer(false, 0),
        (State::SizeEnd(size), b'\n') => State::Data(size),
        (State::DataEnd, b'\r') => State::DataEndLf,
        (State::DataEndLf, b'\n') => State::SizeStart,
        (State::Trailer(filled, n), b'\r') => State::TrailerLf(filled, n),
        (State::Trailer(_, n), _) if visible && n < MAX_TRAILERS => State::Trailer(true, n + 1),
        (State::TrailerLf(true, n), b'\n') => State::Trailer(false, n),
        (State::TrailerLf(false, _), b'\n') => State::Done,
        _ => return Err(ChunkError),
    })
}

fn hex(byte: u8) -> Result<u64, ChunkError> {
    char::from(byte).to_digit(16).map(u64::from).ok_or(ChunkError)
}
