//! An index whose searches never answer, or that is away.

use crate::between::OnTheWay;
use async_trait::async_trait;
use sightline_index::IndexError;
use tokio::sync::watch;

/// What becomes of searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Searches {
    /// They never end.
    Hang,
    /// The index is away.
    Fail,
}

/// Keeps searches from the index.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) searches: Searches,
    /// Searches under way.
    pub(crate) under_way: watch::Sender<usize>,
}

struct UnderWay<'a>(&'a watch::Sender<usize>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

#[async_trait]
impl OnTheWay for Slow {
    async fn before(&self, call: &'static str) -> Result<(), IndexError> {
        if call != "search" {
            return Ok(());
        }
        if self.searches == Searches::Fail {
            return Err(IndexError::Unavailable {
                action: "search",
                message: "connection refused".into(),
            });
        }
        self.under_way.send_modify(|count| *count += 1);
        let _under_way = UnderWay(&self.under_way);
        std::future::pending().await
    }
}
