//! Mistakes that are seeded on purpose, at the seams: the code around them is the code that ships, and behaves as if it
//! made them. Each has to be caught.

/// A mistake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A worker's shards are acked when they are delivered, before anything of them is in the index.
    AckBeforeUpsert,
    /// A coordinator's links are acked when they are delivered, before what they plan is published.
    AckBeforePublish,
    /// A coordinator does not see that a link has a node already.
    ListAgain,
    /// A worker does not see that a shard has a result already.
    ResultNotChecked,
    /// A batch of rows holds one of them twice.
    OneKeyTwice,
}
