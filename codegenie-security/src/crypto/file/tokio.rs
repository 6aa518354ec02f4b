//! Sealing and opening between tokio's readers and writers.

use ::tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use zeroize::{Zeroize, Zeroizing};

use super::super::chunked::{CHUNK_LEN, COMMITMENT_LEN, MAX_CHUNKS, SALT_LEN, SEALED_LEN, TAG_LEN};
use super::header::{FileError, Header};
use super::open::FileOpener;
use super::seal::FileSealer;

impl FileSealer<'_> {
    /// [Seals](Self::seal) between tokio's reader and writer. A chunk takes some 15 microseconds, during
    /// which the task does not yield; a key that is slow on purpose, such as a passphrase, blocks it for
    /// as long as that takes. Dropping the future leaves a file that is cut short, and refused as such.
    pub async fn seal_async(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> Result<u64, FileError> {
        let write = |error| FileError::io("write a sealed file", error);
        let mut start = Vec::new();
        let chunks = self.begin(&mut start)?;
        to.write_all(&start).await.map_err(write)?;
        let (mut plain, mut sealed) = (Zeroizing::new(vec![0; CHUNK_LEN]), vec![0; SEALED_LEN]);
        let (mut index, mut done) = (0, 0);
        loop {
            let count = fill(&mut from, &mut plain).await?;
            if index >= MAX_CHUNKS {
                return Err(FileError::too_large());
            }
            let (Some(plain), Some(sealed)) = (plain.get(..count), sealed.get_mut(..count + TAG_LEN)) else {
                return Err(FileError::too_large());
            };
            chunks.seal(index, plain, sealed)?;
            to.write_all(sealed).await.map_err(write)?;
            done += count as u64;
            self.report(done);
            if count < CHUNK_LEN {
                to.flush().await.map_err(write)?;
                return Ok(done);
            }
            index += 1;
        }
    }
}

impl FileOpener<'_> {
    /// [Opens](Self::open) between tokio's reader and writer. What was written to `to` before an error is
    /// genuine, but not all of it: throw it away.
    pub async fn open_async(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
    ) -> Result<u64, FileError> {
        let write = |error| FileError::io("write what was opened", error);
        let mut header = Vec::new();
        loop {
            let before = header.len();
            match Header::missing(&header)? {
                0 => break,
                count => header.resize(before + count, 0),
            }
            read_whole(&mut from, header.get_mut(before..).unwrap_or_default()).await?;
        }
        let mut start = [0; SALT_LEN + COMMITMENT_LEN];
        read_whole(&mut from, &mut start).await?;
        let chunks = Header::parse(header, &self.wrappers)?.open_body(self.backend, self.context, &start)?;

        let (mut sealed, mut plain) = (vec![0; SEALED_LEN], Zeroizing::new(vec![0; CHUNK_LEN]));
        let (mut index, mut done) = (0, 0);
        loop {
            let count = fill(&mut from, &mut sealed).await?;
            if index >= MAX_CHUNKS {
                return Err(FileError::too_large());
            }
            let len = count.checked_sub(TAG_LEN).ok_or_else(FileError::truncated)?;
            let (Some(sealed), Some(to_open)) = (sealed.get(..count), plain.get_mut(..len)) else {
                return Err(FileError::truncated());
            };
            if let Err(error) = chunks.open(index, sealed, to_open) {
                plain.zeroize();
                return Err(error.into());
            }
            to.write_all(to_open).await.map_err(write)?;
            done += len as u64;
            self.report(done);
            if count < SEALED_LEN {
                to.flush().await.map_err(write)?;
                return Ok(done);
            }
            index += 1;
        }
    }
}

async fn fill(from: &mut (impl AsyncRead + Unpin), to: &mut [u8]) -> Result<usize, FileError> {
    let mut count = 0;
    while let Some(rest) = to.get_mut(count..).filter(|rest| !rest.is_empty()) {
        match from.read(rest).await.map_err(|error| FileError::io("read", error))? {
            0 => break,
            more => count += more,
        }
    }
    Ok(count)
}

async fn read_whole(from: &mut (impl AsyncRead + Unpin), to: &mut [u8]) -> Result<(), FileError> {
    let count = fill(from, to).await?;
    if count == to.len() { Ok(()) } else { Err(FileError::truncated()) }
}
