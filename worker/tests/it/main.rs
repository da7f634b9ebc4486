//! The whole worker over an in-process queue, a local store and an index file, with real engines that really die.

mod bench;
mod broker;
mod deaths;
mod items;
mod production;
