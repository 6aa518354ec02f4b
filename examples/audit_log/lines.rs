//! Lines of standard input that tell when nothing more is there.

use std::io::{ErrorKind, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// An event may have 1 MiB, and JSON may write a byte of it as six.
const MAX_LINE: usize = 8 << 20;
/// What is read at once, and how many of those may wait while a commit is made.
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 16;

pub(crate) enum Next {
    /// A line with its number, without its end.
    Line(u64, Vec<u8>),
    /// That line cannot be read. There is nothing after it.
    Bad(u64, String),
    /// No whole line is there yet.
    Pause,
    End,
}

/// Reads on a thread of its own, since a read of a pipe waits for its writer.
pub(crate) struct Lines {
    chunks: Receiver<Result<Vec<u8>, String>>,
    chunk: Vec<u8>,
    /// How much of the chunk is used.
    used: usize,
    /// The beginning of a line whose end has not come.
    begun: Vec<u8>,
    number: u64,
}

impl Lines {
    pub(crate) fn of_stdin() -> Self {
        let (sender, chunks) = sync_channel(CHUNKS);
        std::thread::spawn(move || send_chunks(&sender));
        Self { chunks, chunk: Vec::new(), used: 0, begun: Vec::new(), number: 1 }
    }

    /// The next line, where it `waits` for one without a pause.
    pub(crate) fn next(&mut self, waits: bool) -> Next {
        loop {
            let rest = self.chunk.get(self.used..).unwrap_or_default();
            let end = rest.iter().position(|byte| *byte == b'\n');
            let part = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            if self.begun.len() + part.len() > MAX_LINE {
                return Next::Bad(self.number, "longer than 8 MiB, which no event needs".to_owned());
            }
            self.begun.extend_from_slice(part);
            self.used += part.len() + 1;
            if end.is_some() {
                return self.line();
            }
            let received = match self.chunks.try_recv() {
                Err(TryRecvError::Empty) if !waits => {
                    self.chunk.clear();
                    return Next::Pause;
                }
                Err(TryRecvError::Empty) => self.chunks.recv().ok(),
                received => received.ok(),
            };
            self.used = 0;
            match received {
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(problem)) => return Next::Bad(self.number, problem),
                None => {
                    self.chunk.clear();
                    return if self.begun.is_empty() { Next::End } else { self.line() };
                }
            }
        }
    }

    fn line(&mut self) -> Next {
        let number = self.number;
        self.number += 1;
        Next::Line(number, std::mem::take(&mut self.begun))
    }
}

/// Until the end of the input, or until nobody wants more.
fn send_chunks(chunks: &SyncSender<Result<Vec<u8>, String>>) {
    let mut input = std::io::stdin().lock();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = match input.read(&mut buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer.get(..length).unwrap_or_default().to_vec()),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => Err(format!("cannot be read: {error}")),
        };
        let failed = read.is_err();
        if chunks.send(read).is_err() || failed {
            return;
        }
    }
}
