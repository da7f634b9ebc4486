//! The coordinator: plans runs and tracks them.
//!
//! Promises: stateless, so any number of coordinators serve the same runs without a leader; a link is acked only after
//! what it planned is stored and its messages are confirmed; a run's state is derived from objects at every reading,
//! never counted up. Leaves to others: the work on shards (`sightline-worker`), search (`sightline-gateway`). It does
//! not link libtorch.

mod answer;
mod audit;
mod collection_check;
mod config;
mod coordinator;
mod create;
mod dead_letters;
mod errors;
mod failures;
mod fan_out;
mod hints;
mod import_request;
mod lost_links;
mod metrics;
mod mirror;
mod node;
mod now_and_then;
mod orphans;
mod piece;
mod plan_loop;
mod planner;
mod preview;
mod progress;
mod publish;
mod refresh;
mod request;
mod resume;
mod retry;
mod run_meters;
mod selection;
mod serve;
mod service;
mod shard_writer;
mod split;
mod told;
mod tracker;
mod verify;
mod waiting;
mod watch;
mod window;

pub use config::{CoordinatorConfig, DEFAULT_PORT};
pub use coordinator::{Coordinator, Seams};
pub use planner::{PlanError, PlannerOptions};
pub use progress::{RunSnapshot, RunState};
pub use serve::serve;
pub use service::CoordinatorService;
