//! Counts what an index is asked.

use crate::between::OnTheWay;
use async_trait::async_trait;
use sightline_index::IndexError;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::Barrier;

pub(crate) type Calls = Arc<Mutex<BTreeMap<&'static str, usize>>>;
pub(crate) type Together = Arc<Mutex<Option<Arc<Barrier>>>>;

/// Counts calls by their names.
#[derive(Debug)]
pub(crate) struct Counting {
    pub(crate) calls: Calls,
    /// What `describe` and `search` wait at, where both have to be under way at once.
    pub(crate) together: Together,
}

#[async_trait]
impl OnTheWay for Counting {
    async fn before(&self, call: &'static str) -> Result<(), IndexError> {
        *self.calls.lock().unwrap().entry(call).or_default() += 1;
        let together = self.together.lock().unwrap().clone();
        if let ("describe" | "search", Some(together)) = (call, together) {
            together.wait().await;
        }
        Ok(())
    }
}
