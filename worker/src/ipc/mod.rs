//! What supervisor and engine say to each other over the engine's stdin and stdout.

mod frame;
mod protocol;

pub use frame::{FrameError, MAX_FRAME_BYTES, read_frame, write_frame};
pub use protocol::{
    BatchSize, EngineLoad, FromEngine, Imported, ImportedField, IndexCallReport, Interruption, ItemAt, ItemEnded, Job,
    PROTOCOL_VERSION, StageReport, ToEngine, WorkId, WorkItem, monotonic_ms,
};
