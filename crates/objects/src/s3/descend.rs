//! Listing what follows a directory, directory by directory.
//!
//! A recursive listing that starts in the middle makes MinIO walk the tree anew for every page; one of a single
//! directory from its beginning costs what a plain loop over the whole bucket does. So where a listing goes on behind a
//! directory, the next directories are asked for by name, as long as they are large: of small ones a page of the
//! recursive listing holds many. Which they are costs MinIO as much as some hundred keys, so that a page hands on what it
//! knows of its neighbours.

use super::list::{Query, last_of};
use crate::listing::after_prefix;
use crate::{ListHint, ListPage, ObjectError, ObjectMeta};
use std::sync::Arc;

/// Neighbours that are looked at for directories.
const NEIGHBOURS: usize = 16;
/// A directory with a smaller share of the page is small.
const SMALL_SHARE: usize = 8;

/// Whether a listing from here goes on behind a directory: `0` is the character after `/`.
pub(super) fn is_behind_a_directory(start: &str) -> bool {
    start.ends_with('0')
}

/// Where a listing goes on behind a directory. Only its last slash goes: a name may itself end with one.
fn behind(directory: &str) -> String {
    format!("{}0", directory.strip_suffix('/').unwrap_or(directory))
}

/// What lies in one directory behind a place in it, folded: the first of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Neighbours {
    prefix: String,
    after: String,
    objects: Vec<ObjectMeta>,
    directories: Vec<String>,
    /// Where there is more.
    next: Option<String>,
}

impl Neighbours {
    /// Directories among them that come after a place.
    fn directories_after(&self, place: &str) -> &[String] {
        let passed = self
            .directories
            .partition_point(|directory| directory.as_str() <= place);
        self.directories.get(passed..).unwrap_or_default()
    }

    /// Objects among them between two places, the second included.
    fn objects_between(&self, place: &str, end: &str) -> impl Iterator<Item = ObjectMeta> {
        let passed = self.objects.partition_point(|object| object.key.as_str() <= place);
        let until = self.objects.partition_point(|object| object.key.as_str() <= end);
        self.objects.get(passed..until).unwrap_or_default().iter().cloned()
    }

    /// Whether there is anything after a place.
    fn go_on_after(&self, place: &str) -> bool {
        let object = self.objects.last().is_some_and(|last| last.key.as_str() > place);
        let directory = self.directories.last().is_some_and(|last| last.as_str() > place);
        self.next.is_some() || object || directory
    }

    /// Whether it is known what comes right after a directory of theirs.
    fn reach_behind(&self, directory: &str) -> bool {
        self.next.is_none() || self.next.as_deref() > Some(after_prefix(directory).as_str())
    }
}

impl Query<'_> {
    /// What comes after the start, in order: at most a page, and less where a directory ends in its second half.
    pub(super) async fn descend(&self) -> Result<ListPage, ObjectError> {
        let neighbours = match self.known_neighbours() {
            Some(known) => known,
            None => Arc::new(self.ask_for_neighbours().await?),
        };
        let place = self.place();
        if neighbours.directories_after(place).is_empty() {
            return self.answer().await;
        }
        let mut page = self.walk(&neighbours, place).await?;
        page.hint.0 = page.next.is_some().then_some(neighbours);
        Ok(page)
    }

    /// Where the listing goes on, as the store's caller knows it.
    fn place(&self) -> &str {
        let after = self.after.as_deref().unwrap_or_default();
        after.strip_prefix(self.store.prefix.as_str()).unwrap_or_default()
    }

    /// What an earlier page knew, where it knows of a directory here.
    fn known_neighbours(&self) -> Option<Arc<Neighbours>> {
        let known = self.hint.0.as_ref()?;
        let place = self.place();
        let here = known.prefix == self.prefix && known.after.as_str() <= place;
        (here && !known.directories_after(place).is_empty()).then(|| Arc::clone(known))
    }

    async fn ask_for_neighbours(&self) -> Result<Neighbours, ObjectError> {
        let query = Query {
            prefix: self.prefix.clone(),
            after: self.after.clone(),
            hint: ListHint::default(),
            fold: true,
            limit: self.limit.min(NEIGHBOURS),
            ..*self
        };
        let page = query.answer().await?;
        Ok(Neighbours {
            prefix: self.prefix.clone(),
            after: self.place().to_owned(),
            objects: page.objects,
            directories: page.common_prefixes,
            next: page.next,
        })
    }

    /// Goes from directory to directory.
    async fn walk(&self, neighbours: &Neighbours, place: &str) -> Result<ListPage, ObjectError> {
        let mut page = ListPage::default();
        let mut place = place.to_owned();
        for directory in neighbours.directories_after(&place) {
            page.objects.extend(neighbours.objects_between(&place, directory));
            if page.objects.len() >= self.limit {
                page.objects.truncate(self.limit);
                page.next = last_of(&page);
                return Ok(page);
            }
            let room = self.limit - page.objects.len();
            let found = self
                .of_prefix(format!("{}{directory}", self.store.prefix), room)
                .answer()
                .await?;
            let small = found.objects.len() < self.limit / SMALL_SHARE;
            page.objects.extend(found.objects);
            if found.next.is_some() {
                page.next = found.next;
                return Ok(page);
            }
            place = behind(directory);
            if !neighbours.reach_behind(directory) {
                page.next = last_of(&page).or_else(|| neighbours.next.clone());
                return Ok(page);
            }
            // No start gives a key that is just what sorts behind the directory: it is taken here, or asked for later.
            let exactly = neighbours
                .objects_between(directory, &place)
                .find(|object| object.key == place);
            if let Some(object) = exactly {
                if page.objects.len() == self.limit {
                    page.next = last_of(&page);
                    return Ok(page);
                }
                page.objects.push(object);
            }
            if !neighbours.go_on_after(&place) {
                return Ok(page);
            }
            if page.objects.len() == self.limit || (!small && page.objects.len() > self.limit / 2) {
                page.next = Some(place);
                return Ok(page);
            }
            if small {
                return self.and_the_rest(page, &place).await;
            }
        }
        page.objects.extend(neighbours.objects_between(&place, "\u{10FFFF}"));
        page.next.clone_from(&neighbours.next);
        if page.objects.len() > self.limit {
            page.objects.truncate(self.limit);
            page.next = last_of(&page);
        }
        Ok(page)
    }

    /// Fills a page with what a recursive listing gives after a place: of small directories, many.
    async fn and_the_rest(&self, mut page: ListPage, place: &str) -> Result<ListPage, ObjectError> {
        let mut rest = self.of_prefix(self.prefix.clone(), self.limit - page.objects.len());
        rest.after = Some(format!("{}{place}", self.store.prefix));
        let rest = rest.answer().await?;
        page.objects.extend(rest.objects);
        page.next = rest.next;
        Ok(page)
    }

    /// All that starts with a prefix, so many at most.
    fn of_prefix(&self, prefix: String, limit: usize) -> Self {
        Self {
            prefix,
            after: None,
            hint: ListHint::default(),
            fold: false,
            limit,
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::behind;

    #[test]
    fn nothing_but_the_directory_lies_before_the_place_behind_it() {
        assert_eq!(behind("a/b/"), "a/b0");
        // `a/c` sorts behind all of `a//` and before `a0`.
        assert_eq!(behind("a//"), "a/0");
    }
}
