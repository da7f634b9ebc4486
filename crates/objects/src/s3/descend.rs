//! Listing what follows a directory, directory by directory.
//!
//! A recursive listing that starts in the middle makes MinIO walk the tree anew for every page; one of a single
//! directory from its beginning costs what a plain loop over the whole bucket does. So where a listing goes on behind a
//! directory, the next directories are asked for by name, as long as they are large: of small ones a page of the
//! recursive listing holds many.

use super::list::{Query, last_of};
use crate::{ListPage, ObjectError};

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

impl Query<'_> {
    /// What comes after the start, in order: at most a page, and less where a directory ends in its second half.
    pub(super) async fn descend(&self) -> Result<ListPage, ObjectError> {
        let neighbours = Query {
            prefix: self.prefix.clone(),
            after: self.after.clone(),
            fold: true,
            limit: self.limit.min(NEIGHBOURS),
            ..*self
        };
        let neighbours = neighbours.answer().await?;
        if neighbours.common_prefixes.is_empty() {
            return self.answer().await;
        }
        let mut objects = neighbours.objects.into_iter().peekable();
        let mut directories = neighbours.common_prefixes.into_iter().peekable();
        let mut page = ListPage::default();
        while let Some(directory) = directories.next() {
            while let Some(object) = objects.next_if(|object| object.key < directory) {
                page.objects.push(object);
            }
            let room = self.limit - page.objects.len();
            if room == 0 {
                page.next = last_of(&page);
                return Ok(page);
            }
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
            if !small && page.objects.len() <= self.limit / 2 {
                continue;
            }
            let behind = behind(&directory);
            let last = objects.peek().is_none() && directories.peek().is_none();
            if last && neighbours.next.is_none() {
                return Ok(page);
            }
            // No start gives a key that is just what sorts behind the directory: it is taken here, or asked for later.
            if last || page.objects.len() == self.limit {
                page.next = last_of(&page).or(neighbours.next);
                return Ok(page);
            }
            page.objects.extend(objects.next_if(|object| object.key == behind));
            if !small || page.objects.len() == self.limit {
                page.next = Some(behind);
                return Ok(page);
            }
            let mut rest = self.of_prefix(self.prefix.clone(), self.limit - page.objects.len());
            rest.after = Some(format!("{}{behind}", self.store.prefix));
            let rest = rest.answer().await?;
            page.objects.extend(rest.objects);
            page.next = rest.next;
            return Ok(page);
        }
        page.objects.extend(objects);
        page.next = neighbours.next;
        if page.objects.len() > self.limit {
            page.objects.truncate(self.limit);
            page.next = last_of(&page);
        }
        Ok(page)
    }

    /// All that starts with a prefix, so many at most.
    fn of_prefix(&self, prefix: String, limit: usize) -> Self {
        Self {
            prefix,
            after: None,
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
