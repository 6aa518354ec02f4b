//! Where the files of a log are: behind a seam, so that tests can cut the power and make writes fail.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use crate::files::{self, Locked};

/// A directory of files, named by relative paths with `/`. Names that a writer makes last once
/// [`sync_dir`](Self::sync_dir) of their directory has returned.
pub(super) trait Disk: Send + Sync {
    /// All bytes of a file; `None` when there is none.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Bytes of a file from a place on, which must all be there.
    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>>;
    /// The names in a directory, without it; empty when there is none.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;
    /// A new file, for its owner only. Fails where there is one.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// A file that is there, to write to.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Makes or replaces a file durably and all at once.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes a directory, for its owner only, unless it is there.
    fn make_dir(&self, dir: &str) -> io::Result<()>;
    /// Makes names in a directory last.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// A file that is open to be written.
pub(super) trait DiskFile: Send {
    /// Adds bytes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Lets small appends fill zeros that were written ahead, so many at a time. A sync then has no length and no
    /// place to write down, which takes a journal longer than the bytes themselves. Whoever reads sees the zeros.
    fn write_ahead(&mut self, zeros: usize);
    /// Removes zeros that were written ahead and are not filled.
    fn trim(&mut self) -> io::Result<()>;
    /// Writes at a place.
    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts to a length.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
    /// Lets what was appended last begin its way to the disk, so that a sync has less to wait for: a hint.
    fn begin_sync(&mut self) {}
    /// Makes all of it last. Fails where the file has been deleted, since it takes everything along.
    fn sync(&mut self) -> io::Result<()>;
    /// Fails where the file has been deleted.
    fn still_there(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A directory of the file system.
pub(super) struct Directory {
    path: PathBuf,
}

impl Directory {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn path(&self, name: &str) -> PathBuf {
        if name.is_empty() { self.path.clone() } else { self.path.join(name) }
    }

    /// Locks a file in it for this process; an error of kind `WouldBlock` when somebody else has.
    pub(super) fn lock(&self, name: &str) -> io::Result<Locked> {
        files::lock(files::open_to_append(&self.path(name), true)?)
    }

    fn open_regular(&self, name: &str) -> io::Result<File> {
        let file = files::open_to_read(&self.path(name))?;
        if file.metadata()?.is_file() {
            return Ok(file);
        }
        Err(io::Error::other("it is not a regular file"))
    }
}

impl Disk for Directory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        use std::io::Read;
        match self.open_regular(name) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                Ok(Some(bytes))
            }
        }
    }

    fn read_at(&self, name: &str, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = self.open_regular(name)?;
        // Before room is made for what is not there.
        if offset.checked_add(len as u64).is_none_or(|end| file.metadata().is_ok_and(|file| end > file.len()))
        {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; len];
        files::read_at(&file, &mut bytes, offset)?;
        Ok(bytes)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        // The log itself may lie where its host wants.
        if !dir.is_empty() && std::fs::symlink_metadata(self.path(dir)).is_ok_and(|dir| dir.is_symlink()) {
            return Err(files::symlink_refusal());
        }
        let entries = match std::fs::read_dir(self.path(dir)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other?,
        };
        let name = |entry: io::Result<std::fs::DirEntry>| {
            entry?.file_name().into_string().map_err(|name| {
                io::Error::other(format!("{name:?} stands among its files and is none of them; move it away"))
            })
        };
        let mut names = entries.map(name).collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = files::create_new_private(&self.path(name))?;
        Ok(Box::new(OpenFile { file, begun: 0, end: 0, ahead: 0, zeros: 0 }))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        let file = files::open_to_write(&self.path(name))?;
        let end = file.metadata()?.len();
        Ok(Box::new(OpenFile { file, begun: end, end, ahead: end, zeros: 0 }))
    }

    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        files::replace(&self.path(name), bytes)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path(name))
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        let path = self.path(dir);
        let is_new = !path.exists();
        files::create_private_dir(&path)?;
        if is_new { files::sync_parent(&path) } else { Ok(()) }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.path(dir))?.sync_all()
    }
}

struct OpenFile {
    file: File,
    /// Where the last append began.
    begun: u64,
    end: u64,
    /// The end of what was written ahead.
    ahead: u64,
    zeros: usize,
}

/// Appends of more than this share of the zeros are not small.
const SMALL: usize = 8;

/// What zeros are written from.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

impl OpenFile {
    /// Writes zeros from a place on.
    fn fill_ahead(&mut self, from: u64) -> io::Result<()> {
        let until = from + self.zeros as u64;
        self.ahead = from;
        while self.ahead < until {
            let more = usize::try_from(until - self.ahead).unwrap_or(usize::MAX).min(ZEROS.len());
            if files::write_at(&self.file, ZEROS.get(..more).unwrap_or_default(), self.ahead).is_err() {
                // Where there is no room for zeros there may be for bytes.
                return self.set_len(self.end);
            }
            self.ahead += more as u64;
        }
        Ok(())
    }
}

impl DiskFile for OpenFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let end = self.end + bytes.len() as u64;
        if end > self.ahead && bytes.len() <= self.zeros / SMALL {
            self.fill_ahead(end)?;
        }
        files::write_at(&self.file, bytes, self.end)?;
        (self.begun, self.end) = (self.end, end);
        self.ahead = self.ahead.max(end);
        Ok(())
    }

    fn write_ahead(&mut self, zeros: usize) {
        self.zeros = zeros;
    }

    fn trim(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.ahead = self.end;
        Ok(())
    }

    fn write_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        files::write_at(&self.file, bytes, offset)
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        (self.begun, self.end, self.ahead) = (len, len, len);
        // Whoever cuts a file back is out of room: none of it is for zeros any more.
        self.zeros = 0;
        Ok(())
    }

    fn begin_sync(&mut self) {
        files::begin_write_back(&self.file, self.begun, self.end);
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.still_there()
    }

    fn still_there(&self) -> io::Result<()> {
        files::still_there(&self.file)
    }
}
