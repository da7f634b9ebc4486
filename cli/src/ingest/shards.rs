//! How the work of a run is cut, and how much of it is handed out at once.

use clap::Args;

/// Shards: how large, and how many on their way.
#[derive(Debug, Args)]
pub(crate) struct ShardArgs {
    /// Items in a shard, the unit of work; 256 by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub(crate) shard_items: Option<i32>,
    /// Shards of this run that may be in the queue or in workers' hands at once, 16 by default; four for each worker, or twice
    /// what it takes into its hands, where that is more. Another run's shards wait behind them.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=100_000))]
    pub(crate) window_shards: Option<i32>,
}
