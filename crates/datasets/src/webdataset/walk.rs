//! Goes through a tar from header to header, by ranges of one version of it. What lies between is read along where it is
//! little, and passed over where it is much.

use super::header::{BLOCK, Header, Kind, header, packed, records, text};
use crate::Reader;
use bytes::Bytes;
use sightline_objects::{ObjectError, ObjectStore};
use std::sync::Arc;

/// Longest name or list of records before a header.
const MAX_EXTENSION: u64 = 1 << 20;
/// Headers that may stand before one file: names, records, and parts of a sparse file's map.
const MAX_EXTENSIONS: usize = 1024;
/// Fetched where files are large, so that nothing but headers is wanted.
const HEADERS_BYTES: u64 = 16 << 10;

/// A tar in one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tar {
    pub(super) key: String,
    pub(super) etag: String,
    pub(super) size: u64,
}

/// A file in a tar, or what stands for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Path, without `./` at its start.
    pub(super) path: String,
    /// Where the first of its headers begins.
    pub(super) start: u64,
    /// Where its content begins.
    pub(super) offset: u64,
    pub(super) size: u64,
    pub(super) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    File,
    Link,
    Sparse,
}

/// Why a tar is read no further.
#[derive(Debug)]
pub(super) enum Broken {
    Store(ObjectError),
    /// It is damaged at this place, in words.
    Damaged(u64, String),
}

pub(super) struct Walk {
    store: Arc<dyn ObjectStore>,
    tar: Tar,
    chunk: u64,
    buffer: Bytes,
    /// Where the buffer lies in the tar.
    start: u64,
    /// Where the next header begins.
    at: u64,
}

/// What headers before a file's own say of it.
#[derive(Default)]
struct Said {
    name: Option<String>,
    size: Option<u64>,
    sparse: bool,
}

impl Walk {
    /// Goes on at `at`, where a header begins.
    pub(super) fn new(reader: &Reader, tar: Tar, at: u64) -> Self {
        Self {
            store: Arc::clone(&reader.store),
            tar,
            chunk: (reader.options.chunk_bytes as u64).max(BLOCK),
            buffer: Bytes::new(),
            start: at,
            at,
        }
    }

    /// Where the next header begins.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next file or link; none at the tar's end. Directories are passed over. Who asks behind damage gets it again.
    pub(super) async fn next(&mut self) -> Result<Option<Member>, Broken> {
        let start = self.at;
        let found = self.find().await;
        if found.is_err() {
            self.at = start;
        }
        found
    }

    async fn find(&mut self) -> Result<Option<Member>, Broken> {
        let (mut start, mut said) = (self.at, Said::default());
        let mut extensions = 0;
        loop {
            let Some(header) = self.header().await? else {
                return Ok(None);
            };
            extensions += 1;
            if extensions > MAX_EXTENSIONS {
                let why = "more headers stand before one file than any writer writes";
                return Err(Broken::Damaged(start, why.into()));
            }
            let own = self.at;
            self.at += BLOCK;
            let what = match header.kind {
                Kind::LongName => {
                    said.name = Some(text(&self.extension(own, header.size).await?));
                    continue;
                }
                Kind::LongTarget => {
                    self.extension(own, header.size).await?;
                    continue;
                }
                Kind::Records => {
                    let bytes = self.extension(own, header.size).await?;
                    let records = records(&bytes).map_err(|why| Broken::Damaged(own, why))?;
                    said.name = records.path.or(said.name);
                    said.size = records.size;
                    said.sparse = records.sparse;
                    continue;
                }
                Kind::GlobalRecords => {
                    self.global(own, header.size).await?;
                    (start, said, extensions) = (self.at, Said::default(), 0);
                    continue;
                }
                Kind::Empty => {
                    self.pass(own, &header.name, header.size)?;
                    (start, said, extensions) = (self.at, Said::default(), 0);
                    continue;
                }
                Kind::Sparse(more) => {
                    self.pass_map(more).await?;
                    What::Sparse
                }
                Kind::Link => What::Link,
                // So did writers of before ustar mark directories. A header's own name may be a longer one's beginning.
                Kind::File if said.name.as_deref().unwrap_or(&header.name).ends_with('/') => {
                    self.pass(own, &header.name, header.size)?;
                    (start, said, extensions) = (self.at, Said::default(), 0);
                    continue;
                }
                Kind::File if said.sparse => What::Sparse,
                Kind::File => What::File,
            };
            return self.member(start, own, header, what, said).map(Some);
        }
    }

    /// Reads a file's content. Its size is bounded by who asks.
    pub(super) async fn content(&mut self, member: &Member) -> Result<Bytes, Broken> {
        self.read(member.offset, member.size).await
    }

    fn member(&mut self, start: u64, own: u64, header: Header, what: What, said: Said) -> Result<Member, Broken> {
        let path = said.name.unwrap_or(header.name);
        // A link has no content, whatever is said of the size.
        let size = if what == What::Link {
            0
        } else {
            said.size.unwrap_or(header.size)
        };
        let offset = self.at;
        self.pass(own, &path, size)?;
        let path = path.trim_start_matches("./").trim_start_matches('/').to_owned();
        Ok(Member {
            path,
            start,
            offset,
            size,
            what,
        })
    }

    /// Goes behind the content of a header.
    fn pass(&mut self, own: u64, path: &str, size: u64) -> Result<(), Broken> {
        let left = self.tar.size.saturating_sub(self.at);
        if size > left {
            let why = format!(
                "{path:?} has {size} bytes by its header, and {left} are left: the tar was cut short, or the header is damaged"
            );
            return Err(Broken::Damaged(own, why));
        }
        self.at += size.next_multiple_of(BLOCK);
        Ok(())
    }

    /// The header at the place; none at the end.
    async fn header(&mut self) -> Result<Option<Header>, Broken> {
        let at = self.at;
        let damaged = |why: String| Broken::Damaged(at, why);
        if self.tar.size == 0 {
            return Err(damaged("it is empty".into()));
        }
        if at == 0 {
            let first = self.read(0, BLOCK.min(self.tar.size)).await?;
            if let Some(program) = packed(&first) {
                return Err(damaged(format!("it is compressed: {}", unpack(program))));
            }
        }
        if at.saturating_add(BLOCK) > self.tar.size {
            let why = "it ends without the zeros that end a tar: it was cut short, or its writer was not closed";
            return Err(damaged(why.into()));
        }
        let block = self.read(at, BLOCK).await?;
        header(&block).map_err(damaged)
    }

    /// What a header of a header says.
    async fn extension(&mut self, own: u64, size: u64) -> Result<Bytes, Broken> {
        if size > MAX_EXTENSION {
            let why = format!("a name or list of records has {size} bytes, more than {MAX_EXTENSION}");
            return Err(Broken::Damaged(own, why));
        }
        let at = self.at;
        self.pass(own, "a name or list of records", size)?;
        self.read(at, size).await
    }

    async fn global(&mut self, own: u64, size: u64) -> Result<(), Broken> {
        let bytes = self.extension(own, size).await?;
        let records = records(&bytes).map_err(|why| Broken::Damaged(own, why))?;
        if records.path.is_some() || records.size.is_some() {
            let why = "its global pax records name a path or a size, which are each file's own: write the tar anew";
            return Err(Broken::Damaged(own, why.into()));
        }
        Ok(())
    }

    /// Goes behind the blocks of an old GNU sparse file's map.
    async fn pass_map(&mut self, mut more: bool) -> Result<(), Broken> {
        for _ in 0..MAX_EXTENSIONS {
            if !more {
                return Ok(());
            }
            let block = self.read(self.at, BLOCK).await?;
            more = block.get(504).is_some_and(|flag| *flag != 0);
            self.at += BLOCK;
        }
        Err(Broken::Damaged(self.at, "the map of a sparse file does not end".into()))
    }

    /// Bytes of the tar, from what is fetched, or fetched now with what follows.
    async fn read(&mut self, at: u64, length: u64) -> Result<Bytes, Broken> {
        let held = self.start + self.buffer.len() as u64;
        if at < self.start || at.saturating_add(length) > held {
            let far = at > held.saturating_add(self.chunk);
            let wanted = if far { HEADERS_BYTES.min(self.chunk) } else { self.chunk };
            let end = at.saturating_add(length.max(wanted)).min(self.tar.size);
            let read = self.store.get_range(&self.tar.key, at..end, Some(&self.tar.etag));
            self.buffer = read.await.map_err(Broken::Store)?;
            self.start = at;
        }
        let from = usize::try_from(at - self.start).unwrap_or(usize::MAX);
        let to = from.saturating_add(usize::try_from(length).unwrap_or(usize::MAX));
        if to > self.buffer.len() {
            return Err(Broken::Damaged(at, "it ends here: it was cut short".into()));
        }
        Ok(self.buffer.slice(from..to))
    }
}

/// What to do with a compressed tar.
pub(super) fn unpack(program: &str) -> String {
    format!("parts of it cannot be read by themselves, so uncompress it ({program}) and store the .tar in its place")
}
