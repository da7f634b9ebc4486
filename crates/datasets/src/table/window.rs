//! A part of a text file that moves over it, fetched by ranges of one version.

use crate::cursor::TextPlace;
use crate::{DatasetError, Reader};
use sightline_objects::ObjectStore;
use std::sync::Arc;

/// Fetched first, so that a header alone does not cost a whole chunk.
const FIRST_BYTES: usize = 64 << 10;

pub(super) struct Window {
    store: Arc<dyn ObjectStore>,
    path: String,
    etag: String,
    size: u64,
    chunk: usize,
    max_row: usize,
    buffer: Vec<u8>,
    /// Bytes of the buffer that are done with.
    done: usize,
    /// Offset of the buffer's end in the file.
    end: u64,
    line: u64,
}

impl Window {
    pub(super) async fn open(reader: &Reader, path: &str, etag: Option<String>) -> Result<Self, DatasetError> {
        let of_manifest = |error| DatasetError::of_manifest(path, error);
        let meta = reader.store.head(path).await.map_err(of_manifest)?;
        if etag.is_some_and(|etag| etag != meta.etag) {
            return Err(DatasetError::Changed { path: path.into() });
        }
        let mut window = Self {
            store: Arc::clone(&reader.store),
            path: path.to_owned(),
            etag: meta.etag,
            size: meta.size,
            chunk: reader.options.chunk_bytes.max(1),
            max_row: reader.options.max_row_bytes.max(1),
            buffer: Vec::new(),
            done: 0,
            end: 0,
            line: 1,
        };
        window.fetch(FIRST_BYTES.min(window.chunk)).await?;
        if window.rest().starts_with(b"\xEF\xBB\xBF") {
            window.done = 3;
        }
        Ok(window)
    }

    pub(super) fn etag(&self) -> &str {
        &self.etag
    }

    /// What is fetched and not done with.
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.done..]
    }

    /// Whether the file holds nothing behind [`rest`](Self::rest).
    pub(super) fn is_all(&self) -> bool {
        self.end >= self.size
    }

    /// Whether a row already has more bytes than it may.
    pub(super) fn is_full(&self) -> bool {
        self.rest().len() > self.max_row
    }

    pub(super) fn max_row(&self) -> usize {
        self.max_row
    }

    pub(super) fn place(&self) -> TextPlace {
        TextPlace {
            offset: self.end - self.rest().len() as u64,
            line: self.line,
        }
    }

    /// Goes on from a place of an earlier page.
    pub(super) fn seek(&mut self, place: TextPlace) {
        let start = self.end - self.buffer.len() as u64;
        if (start..=self.end).contains(&place.offset) {
            self.done = usize::try_from(place.offset - start).unwrap_or(self.buffer.len());
        } else {
            self.buffer.clear();
            self.done = 0;
            self.end = place.offset.min(self.size);
        }
        self.line = place.line;
    }

    /// Is done with so many bytes.
    pub(super) fn advance(&mut self, bytes: usize) {
        let to = (self.done + bytes).min(self.buffer.len());
        let line_ends = self.buffer[self.done..to].iter().filter(|byte| **byte == b'\n');
        self.line += line_ends.count() as u64;
        self.done = to;
    }

    pub(super) async fn more(&mut self) -> Result<(), DatasetError> {
        self.fetch(self.chunk).await
    }

    async fn fetch(&mut self, bytes: usize) -> Result<(), DatasetError> {
        let to = self.end.saturating_add(bytes as u64).min(self.size);
        if to <= self.end {
            return Ok(());
        }
        let of_manifest = |error| DatasetError::of_manifest(&self.path, error);
        let chunk = self
            .store
            .get_range(&self.path, self.end..to, Some(&self.etag))
            .await
            .map_err(of_manifest)?;
        if chunk.len() as u64 != to - self.end {
            return Err(DatasetError::Changed {
                path: self.path.clone(),
            });
        }
        self.buffer.drain(..self.done);
        self.done = 0;
        self.buffer.extend_from_slice(&chunk);
        self.end = to;
        Ok(())
    }

    /// Moves to the next byte that ends no line; false at the file's end.
    pub(super) async fn skip_line_ends(&mut self) -> Result<bool, DatasetError> {
        loop {
            let ends = self
                .rest()
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            self.advance(ends);
            if !self.rest().is_empty() {
                return Ok(true);
            }
            if self.is_all() {
                return Ok(false);
            }
            self.more().await?;
        }
    }

    /// Bytes up to the end of the line, without it; none where it is longer than a row may be.
    pub(super) async fn line_length(&mut self) -> Result<Option<usize>, DatasetError> {
        loop {
            if let Some(length) = self.rest().iter().position(|byte| *byte == b'\n') {
                return Ok(Some(length).filter(|length| *length <= self.max_row));
            }
            if self.is_full() {
                return Ok(None);
            }
            if self.is_all() {
                return Ok(Some(self.rest().len()));
            }
            self.more().await?;
        }
    }

    /// Moves behind the end of the line, however long it is.
    pub(super) async fn skip_line(&mut self) -> Result<(), DatasetError> {
        loop {
            if let Some(length) = self.rest().iter().position(|byte| *byte == b'\n') {
                self.advance(length + 1);
                return Ok(());
            }
            self.advance(self.rest().len());
            if self.is_all() {
                return Ok(());
            }
            self.more().await?;
        }
    }

    pub(super) fn line(&self) -> u64 {
        self.line
    }
}
