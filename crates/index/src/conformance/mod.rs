//! The suite that every implementation of [`VectorIndex`](crate::VectorIndex) passes.
//!
//! A test file gives each implementation a function that opens it, and [`conformance_suite!`](crate::conformance_suite)
//! stamps one test a case, so that a failure names the case and the implementation. Cases make collections of their
//! own, named by a random number, and drop them when they pass.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    clippy::cast_possible_truncation,
    reason = "a case fails by panicking, and its numbers are small"
)]

#[expect(missing_docs, reason = "a case's name is its sentence")]
pub mod aliases;
#[expect(missing_docs, reason = "a case's name is its sentence")]
pub mod collections;
#[expect(missing_docs, reason = "a case's name is its sentence")]
pub mod filtering;
mod filters;
pub mod fixture;
#[expect(missing_docs, reason = "a case's name is its sentence")]
pub mod reading;
#[expect(missing_docs, reason = "a case's name is its sentence")]
pub mod searching;
#[expect(missing_docs, reason = "a case's name is its sentence")]
pub mod writing;

use crate::VectorIndex;
use sightline_core::{CollectionDescription, CollectionName, IndexKind, VectorField};
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// An implementation under test.
pub struct Subject {
    /// The index.
    pub index: Arc<dyn VectorIndex>,
    /// The same index as another process has it open: what the one remembers, the other does not.
    pub elsewhere: Arc<dyn VectorIndex>,
    /// The vector fields that a collection of it can have at once.
    pub fields: Vec<VectorField>,
    /// Whether a filter's value may hold a line break; where not, such a filter is refused.
    pub line_breaks_in_filters: bool,
    /// Whether it has aliases.
    pub aliases: bool,
    /// What lives as long as the subject: a temporary folder, say.
    pub guard: Box<dyn Any + Send + Sync>,
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("index", &self.index)
            .field("fields", &self.fields)
            .finish_non_exhaustive()
    }
}

impl Subject {
    /// A name that no other test uses.
    #[must_use]
    pub fn new_name(&self) -> CollectionName {
        fixture::collection_name(&format!("Conformance_{:016x}", rand::random::<u64>()))
    }

    /// A description of a collection with all fields that the implementation has, exactly searched.
    #[must_use]
    pub fn description(&self, dimension: u32) -> CollectionDescription {
        fixture::description(&self.new_name(), &self.fields, dimension, IndexKind::Flat)
    }

    /// Makes a collection.
    pub async fn create(&self, dimension: u32) -> CollectionDescription {
        let description = self.description(dimension);
        self.index.create(&description).await.unwrap();
        description
    }

    /// Drops a collection.
    pub async fn drop(&self, collection: &CollectionName) {
        self.index.drop_collection(collection).await.unwrap();
    }

    /// Whether a collection has this field.
    #[must_use]
    pub fn has(&self, field: VectorField) -> bool {
        self.fields.contains(&field)
    }
}

/// Stamps a module of tests, one a case: `conformance_suite!(name, open)` where `open` is an
/// `async fn() -> Subject`.
#[macro_export]
macro_rules! conformance_suite {
    ($name:ident, $open:ident) => {
        $crate::conformance_suite!(@cases $name, $open,
            aliases: [
                an_alias_describes_what_it_points_at_and_moves_in_one_step,
                an_alias_takes_no_collections_name_and_holds_its_collection,
                rows_are_neither_written_nor_read_under_an_alias,
                an_index_without_aliases_says_so,
                a_collection_that_was_released_answers_again_when_it_is_loaded,
            ],
            collections: [
                a_collection_is_created_once_and_the_same_again_changes_nothing,
                two_creators_at_once_both_succeed,
                another_description_under_the_same_name_is_a_conflict,
                a_description_with_large_canaries_reads_back_bit_for_bit,
                only_collections_that_exist_are_listed,
                an_unknown_collection_is_named_by_every_operation,
                dropping_what_is_not_there_is_no_error,
                a_collection_made_anew_with_other_fields_by_another_process_takes_its_rows,
                a_collection_made_anew_with_other_fields_by_another_process_is_read_as_what_it_is,
            ],
            writing: [
                an_upsert_replaces_every_field,
                one_key_twice_in_a_batch_leaves_the_last_row_once,
                an_empty_batch_changes_nothing,
                a_batch_with_one_bad_vector_is_refused_whole,
                a_row_that_no_index_could_hold_is_refused,
                texts_of_every_script_and_length_read_back_unchanged,
                a_side_that_is_taken_away_is_gone,
                deleted_rows_are_gone_and_deleting_again_is_no_error,
                a_batch_larger_than_a_message_is_written_whole,
            ],
            reading: [
                what_is_written_is_read_at_once_by_every_read,
                rows_come_in_the_order_asked_for_and_missing_ones_are_left_out,
                ten_thousand_rows_are_scanned_without_loss_or_repeat,
                pages_with_long_texts_and_vectors_come_whole,
                an_empty_collection_answers_with_nothing,
                limits_outside_their_range_are_refused,
            ],
            filtering: [
                every_kind_of_filter_agrees_with_its_meaning,
                hostile_values_stay_values,
                a_long_and_a_deep_filter_are_answered_and_one_too_deep_is_refused,
            ],
            searching: [
                hits_are_those_of_brute_force_in_order_and_score,
                equal_scores_are_ordered_by_id,
                a_row_without_a_side_is_no_hit_of_it,
                a_filter_restricts_a_search_and_nothing_else,
                a_query_that_cannot_be_one_is_refused,
                an_index_that_the_vectors_do_not_fit_is_refused_and_nothing_is_made,
                inverted_lists_and_graphs_are_built_and_find_what_is_there,
            ],
        );
    };
    (@cases $name:ident, $open:ident, $($group:ident: [$($case:ident,)+],)+) => {
        mod $name {
            $(mod $group {
                $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $crate::conformance::$group::$case(&super::super::$open().await).await;
                })+
            })+
        }
    };
}
