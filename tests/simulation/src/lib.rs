//! The protocol of a run, simulated: the coordinators and workers that ship, several of each in one thread, over an
//! object store, a broker and an index that lie in memory and misbehave as a seed says, under a clock that jumps.
//!
//! Promises: a seed fixes everything that happens, so that what it shows can be looked at again; nothing of a process
//! that was killed has an effect afterwards but what was under way; every item is looked at in the end. Leaves to
//! others: what real servers do (the seams' conformance suites), and real processes and signals (`make faults`).
//!
//! Nothing here is part of a build: all of it is tests. See `docs/protocol.md`, "How it is proven".

#[cfg(test)]
mod acts;
#[cfg(test)]
mod broker;
#[cfg(test)]
mod bugs;
#[cfg(test)]
mod checks;
#[cfg(test)]
mod client;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod engines;
#[cfg(test)]
mod index;
#[cfg(test)]
mod machines;
#[cfg(test)]
mod mirror;
#[cfg(test)]
mod model;
#[cfg(test)]
mod monitor;
#[cfg(test)]
mod pictures;
#[cfg(test)]
mod process;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod repair;
#[cfg(test)]
mod row_checks;
#[cfg(test)]
mod scenario;
#[cfg(test)]
mod seeds;
#[cfg(test)]
mod store;
#[cfg(test)]
mod tree;
#[cfg(test)]
mod world;
