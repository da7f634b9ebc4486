//! Datasets as they lie in a store.

#[cfg(test)]
mod embeddings;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod fan_out;
mod files;
#[cfg(test)]
mod manifests;
#[cfg(test)]
mod parquet_files;
#[cfg(test)]
mod support;
#[cfg(test)]
mod webdataset;
