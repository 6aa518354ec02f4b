//! The writes of an open log, behind a seam so that tests can make them fail.

use std::fs::File;
use std::io::{self, Write};

use crate::files::{self, Locked};

/// Where the writer puts its bytes. After an error nothing more is asked of it.
pub(super) trait Storage: Send {
    fn append(&mut self, frame: &[u8]) -> io::Result<()>;
    fn sync_log(&mut self) -> io::Result<()>;
    fn write_head(&mut self, slot: &[u8], offset: u64) -> io::Result<()>;
    fn sync_head(&mut self) -> io::Result<()>;
}

/// A file that was deleted takes everything that is still written to it along.
#[cfg(unix)]
fn still_there(file: &File) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;
    if file.metadata()?.nlink() == 0 {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the file was deleted"));
    }
    Ok(())
}

#[cfg(not(unix))]
fn still_there(_file: &File) -> io::Result<()> {
    Ok(())
}

/// The two files.
pub(super) struct Files {
    pub(super) log: Locked,
    pub(super) head: File,
}

impl Storage for Files {
    fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        (&*self.log).write_all(frame)
    }

    fn sync_log(&mut self) -> io::Result<()> {
        self.log.sync_data()?;
        still_there(&self.log)
    }

    fn write_head(&mut self, slot: &[u8], offset: u64) -> io::Result<()> {
        files::write_at(&self.head, slot, offset)
    }

    fn sync_head(&mut self) -> io::Result<()> {
        self.head.sync_data()
    }
}
