//! Files that are parts of one dataset, found by how their keys begin and end.

use crate::{DatasetError, Reader};
use sightline_objects::{ListPage, ListRequest};
use std::collections::BTreeSet;

/// How the keys of the parts begin and end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    pub(crate) before: &'a str,
    pub(crate) behind: &'a str,
    /// Whether folders behind the beginning are looked into.
    pub(crate) deep: bool,
}

impl Named<'_> {
    /// What stands for a part in its key.
    pub(crate) fn name_of<'k>(&self, key: &'k str) -> Option<&'k str> {
        key.strip_prefix(self.before)?.strip_suffix(self.behind)
    }

    /// The key of a part.
    pub(crate) fn key_of(&self, name: &str) -> String {
        format!("{}{name}{}", self.before, self.behind)
    }

    /// The names of all parts.
    pub(crate) async fn all(&self, reader: &Reader) -> Result<BTreeSet<String>, DatasetError> {
        let mut request = self.request(None);
        let mut names = BTreeSet::new();
        loop {
            let listed = list(reader, &request).await?;
            let found = listed.objects.iter().filter_map(|object| self.name_of(&object.key));
            names.extend(found.map(str::to_owned));
            let Some(next) = listed.next else { return Ok(names) };
            request.start_after = Some(next);
        }
    }

    /// The key of the part behind another, in the order of keys; of the first where none is given.
    pub(crate) async fn after(&self, reader: &Reader, part: Option<&str>) -> Result<Option<String>, DatasetError> {
        let mut request = self.request(part);
        loop {
            let listed = list(reader, &request).await?;
            let mut objects = listed.objects.into_iter();
            let found = objects.find(|object| self.name_of(&object.key).is_some());
            match (found, listed.next) {
                (Some(object), _) => return Ok(Some(object.key)),
                (None, None) => return Ok(None),
                (None, next) => request.start_after = next,
            }
        }
    }

    fn request(&self, part: Option<&str>) -> ListRequest {
        ListRequest {
            start_after: part.map(str::to_owned),
            fold: !self.deep,
            ..ListRequest::all(self.before)
        }
    }
}

async fn list(reader: &Reader, request: &ListRequest) -> Result<ListPage, DatasetError> {
    let listed = reader.store.list(request).await;
    listed.map_err(|source| DatasetError::Store {
        what: format!("folder {:?}", request.prefix),
        source,
    })
}
