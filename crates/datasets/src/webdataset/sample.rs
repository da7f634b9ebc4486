//! Samples: the files of a tar whose paths are the same up to the first dot of the name, and the items that they are.

use super::walk::{Broken, Member, Tar, Walk, What};
use crate::columns::{IMAGE_ID, LABELS, TEXT, UID, attributes_of, labels_of, text_of};
use crate::kind::{extension, is_picture, other_type};
use bytes::Bytes;
use serde_json::{Map, Value};
use sightline_core::row::MAX_ID_BYTES;
use sightline_core::{FailureReason, Item, ItemKey, ManifestEntry, ObjectRef, Outcome, SkipReason, TarMember};

/// Files of one sample; those behind are a sample of their own. More have one name only where a tar was not made of
/// samples.
const MAX_FILES: usize = 256;

/// A sample as it lies in its tar.
#[derive(Debug, Default)]
pub(super) struct Sample {
    name: String,
    /// Where its first header begins.
    pub(super) start: u64,
    files: Vec<Member>,
    text: Option<Side>,
    json: Option<Side>,
    class: Option<Side>,
}

/// A file that says something of the pictures beside it.
#[derive(Debug)]
struct Side {
    path: String,
    /// Its content, or why it was not read.
    content: Result<Bytes, String>,
}

/// What a file beside pictures is, told by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Text,
    Json,
    Class,
}

/// The samples of a tar, one after the other.
pub(super) struct Samples {
    walk: Walk,
    max_side: u64,
    /// Read already, and of the next sample.
    next: Option<Member>,
    /// Found already, behind the last sample.
    broken: Option<Broken>,
}

impl Samples {
    pub(super) fn new(walk: Walk, max_side: usize) -> Self {
        Self {
            walk,
            max_side: max_side as u64,
            next: None,
            broken: None,
        }
    }

    /// The next sample; none at the tar's end. Of a sample that is cut short by damage it is what lies before it.
    pub(super) async fn next(&mut self) -> Result<Option<Sample>, Broken> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        let first = match self.next.take() {
            Some(member) => member,
            None => match self.walk.next().await? {
                Some(member) => member,
                None => return Ok(None),
            },
        };
        let mut sample = Sample {
            name: name_of(&first.path).to_owned(),
            start: first.start,
            ..Sample::default()
        };
        self.add(&mut sample, first).await?;
        loop {
            let member = match self.walk.next().await {
                Ok(Some(member)) => member,
                Ok(None) => break,
                // What was read of the sample is whole; the tar's own entry says what may be missing.
                Err(Broken::Damaged(at, why)) => {
                    self.broken = Some(Broken::Damaged(at, why));
                    break;
                }
                Err(broken @ Broken::Store(_)) => return Err(broken),
            };
            if name_of(&member.path) != sample.name || sample.files.len() >= MAX_FILES {
                self.next = Some(member);
                break;
            }
            self.add(&mut sample, member).await?;
        }
        Ok(Some(sample))
    }

    /// Where the next sample begins.
    pub(super) fn at(&self) -> u64 {
        self.next.as_ref().map_or_else(|| self.walk.at(), |member| member.start)
    }

    async fn add(&mut self, sample: &mut Sample, member: Member) -> Result<(), Broken> {
        let side = match says(&member.path) {
            Some(Says::Text) => &mut sample.text,
            Some(Says::Json) => &mut sample.json,
            Some(Says::Class) => &mut sample.class,
            None => {
                sample.files.push(member);
                return Ok(());
            }
        };
        if member.what == What::File && side.is_none() {
            let content = if member.size > self.max_side {
                Err(format!("has {} bytes, more than {}", member.size, self.max_side))
            } else {
                Ok(self.walk.content(&member).await?)
            };
            *side = Some(Side {
                path: member.path.clone(),
                content,
            });
        }
        sample.files.push(member);
        Ok(())
    }
}

/// A path up to the first dot of its last part, as WebDataset has it.
fn name_of(path: &str) -> &str {
    let file = path.rfind('/').map_or(0, |slash| slash + 1);
    path[file..].find('.').map_or(path, |dot| &path[..file + dot])
}

/// Whether it is of no sample: what file systems and archivers put beside files begins with a dot.
fn is_hidden(path: &str) -> bool {
    path.rsplit('/').next().is_some_and(|file| file.starts_with('.'))
}

fn says(path: &str) -> Option<Says> {
    if is_hidden(path) {
        return None;
    }
    let ending = extension(path)?.to_ascii_lowercase();
    match ending.as_str() {
        "txt" | "text" => Some(Says::Text),
        "json" | "jsn" => Some(Says::Json),
        "cls" | "class" => Some(Says::Class),
        _ => None,
    }
}

impl Side {
    fn as_text(&self) -> Result<Option<String>, String> {
        let wrong = |why: &str| format!("its {:?} {why}", self.path);
        let bytes = self.content.as_ref().map_err(|why| wrong(why))?;
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("is not UTF-8"))?;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    fn as_object(&self) -> Result<Map<String, Value>, String> {
        let Some(text) = self.as_text()? else {
            return Ok(Map::new());
        };
        serde_json::from_str(&text).map_err(|error| format!("its {:?} is no JSON object: {error}", self.path))
    }
}

/// What the files beside the pictures of a sample say.
struct Said(Item);

impl Sample {
    /// About how many bytes its entries have.
    pub(super) fn weight(&self) -> usize {
        let side = |side: &Option<Side>| {
            side.as_ref()
                .and_then(|side| side.content.as_ref().ok())
                .map_or(0, Bytes::len)
        };
        (side(&self.text) + side(&self.json) + side(&self.class)) * self.files.len()
    }

    /// Its entries: one for each picture; one where it has none.
    pub(super) fn entries(&self, tar: &Tar) -> Vec<ManifestEntry> {
        let is_wanted = |file: &&Member| is_picture(&file.path) && !is_hidden(&file.path);
        let mut pictures = self.files.iter().filter(is_wanted).peekable();
        let said = self.said();
        if pictures.peek().is_none() {
            return self.without_picture(tar, said).into_iter().collect();
        }
        let entry = |file: &Member| match (&said, file.what, file.size) {
            (_, What::Link, _) => skipped(
                tar,
                file,
                "it is a link to another file; write the tar with copies (--dereference)",
            ),
            (_, What::Sparse, _) => skipped(tar, file, "it is a sparse file; write the tar without --sparse"),
            (_, What::File, 0) => failed(tar, &file.path, FailureReason::EmptyObject, "it has no bytes"),
            (Err(why), What::File, _) => failed(tar, &file.path, FailureReason::InvalidRow, why.clone()),
            (Ok(Said(item)), What::File, _) => picture(tar, file, item),
        };
        pictures.map(entry).collect()
    }

    fn without_picture(&self, tar: &Tar, said: Result<Said, String>) -> Option<ManifestEntry> {
        let is_other = |file: &&Member| says(&file.path).is_none();
        let first = self.files.iter().find(is_other).or(self.files.first())?;
        match said {
            Err(why) => Some(failed(tar, &first.path, FailureReason::InvalidRow, why)),
            Ok(Said(mut item)) if item.text.is_some() => {
                let path = self.path_of_text(first);
                let Some(key) = key(tar, path) else {
                    return Some(too_long(tar, path));
                };
                item.key = key;
                Some(ManifestEntry::Item(item))
            }
            Ok(_) if is_hidden(&first.path) => Some(skipped(tar, first, "its name begins with a dot")),
            Ok(_) => Some(skipped(tar, first, &other_type(&first.path))),
        }
    }

    fn path_of_text<'a>(&'a self, first: &'a Member) -> &'a str {
        let side = self.text.as_ref().or(self.json.as_ref());
        side.map_or(&first.path, |side| &side.path)
    }

    /// An item without key and picture.
    fn said(&self) -> Result<Said, String> {
        let mut item = Item::new(ItemKey::clamped(""));
        if let Some(text) = &self.text {
            item.text = text.as_text()?;
        }
        if let Some(class) = &self.class {
            item.labels = labels_of(&Value::from(class.as_text()?))?;
        }
        let mut fields = self.json.as_ref().map(Side::as_object).transpose()?.unwrap_or_default();
        let mut take = |names: &[&str]| {
            let of = |usual: &&str| fields.keys().find(|name| name.eq_ignore_ascii_case(usual)).cloned();
            let name = names.iter().find_map(of)?;
            fields.remove(&name)
        };
        let wrong = |what: &str, why: &str| format!("the {what} in its .json {why}");
        if item.text.is_none()
            && let Some(value) = take(TEXT)
        {
            item.text = text_of(&value).map_err(|why| wrong("text", why))?;
        }
        if item.labels.is_empty()
            && let Some(value) = take(LABELS)
        {
            item.labels = labels_of(&value)?;
        }
        if let Some(value) = take(UID) {
            item.uid = text_of(&value).map_err(|why| wrong("uid", why))?;
        }
        if let Some(value) = take(IMAGE_ID) {
            item.image_id = text_of(&value).map_err(|why| wrong("image id", why))?;
        }
        if item.uid.is_none() && self.name.len() <= MAX_ID_BYTES {
            item.uid = Some(self.name.clone());
        }
        item.attributes = attributes_of(fields).collect();
        Ok(Said(item))
    }
}

fn picture(tar: &Tar, file: &Member, said: &Item) -> ManifestEntry {
    let Some(key) = key(tar, &file.path) else {
        return too_long(tar, &file.path);
    };
    let mut item = said.clone();
    item.key = key;
    item.image = Some(ObjectRef {
        key: tar.key.clone(),
        etag: tar.etag.clone(),
        size: tar.size,
    });
    item.member = Some(Box::new(TarMember {
        path: file.path.clone(),
        offset: file.offset,
        size: file.size,
    }));
    ManifestEntry::Item(item)
}

/// The key of a file; none where it would be longer than a key may be.
fn key(tar: &Tar, path: &str) -> Option<ItemKey> {
    ItemKey::new(format!("{}/{path}", tar.key)).ok()
}

fn too_long(tar: &Tar, path: &str) -> ManifestEntry {
    let why = "its tar's key and its path are longer together than the 1024 bytes that a row's key may have";
    failed(tar, path, FailureReason::RowTooLarge, why)
}

fn failed(tar: &Tar, path: &str, reason: FailureReason, message: impl Into<String>) -> ManifestEntry {
    let key = ItemKey::clamped(&format!("{}/{path}", tar.key));
    ManifestEntry::ended(key, None, Outcome::failed(reason, message))
}

fn skipped(tar: &Tar, file: &Member, why: &str) -> ManifestEntry {
    let key = ItemKey::clamped(&format!("{}/{}", tar.key, file.path));
    ManifestEntry::ended(key, None, Outcome::skipped(SkipReason::UnsupportedType, why))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_of_one_sample_as_far_as_their_names_are_the_same_up_to_the_first_dot() {
        for (path, name) in [
            ("000123.jpg", "000123"),
            ("a.b/000123.seg.png", "a.b/000123"),
            ("train/x/1.tar.jpg", "train/x/1"),
            ("._hidden.jpg", ""),
            ("README", "README"),
        ] {
            assert_eq!(name_of(path), name, "{path}");
        }
    }
}
