//! What every implementation of [`ObjectStore`](crate::ObjectStore) must pass.
//!
//! [`conformance!`](crate::conformance!) stamps one named test a case. It takes an `async fn() -> Fixture` that gives
//! an empty store.

#![expect(
    missing_docs,
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a case is a test: its name is its promise, and it panics where that is broken"
)]

mod listing;
mod objects;

pub use listing::*;
pub use objects::*;

use crate::ObjectStore;
use std::any::Any;
use std::fmt;
use std::sync::Arc;

/// A store without objects, and what must live as long as it.
pub struct Fixture {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    _guard: Box<dyn Any + Send + Sync>,
}

impl Fixture {
    /// A store, and what must live as long as it (a temporary directory, say).
    pub fn new(store: impl ObjectStore + 'static, guard: impl Any + Send + Sync) -> Self {
        Self {
            store: Arc::new(store),
            _guard: Box::new(guard),
        }
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Stamps a test for each case of the suite; the argument is an `async fn() -> Fixture`.
#[macro_export]
macro_rules! conformance {
    ($make:path) => {
        $crate::conformance! { @each $make:
            what_is_put_is_read_back_whole
            what_is_put_with_a_media_type_is_an_object_like_any_other
            an_empty_object_is_an_object
            a_put_replaces_the_whole_object
            a_missing_object_is_not_found
            a_deleted_object_is_gone_and_may_be_deleted_again
            a_get_of_another_version_says_that_it_changed
            another_content_has_another_tag
            head_and_list_agree
            a_range_is_clamped_to_the_end
            a_range_of_another_version_says_that_it_changed
            eight_mebibytes_are_read_back_whole
            keys_may_hold_any_character
            keys_of_almost_a_thousand_bytes_are_kept
            a_key_that_names_nothing_is_refused
            concurrent_puts_of_one_key_are_read_whole
            an_empty_store_lists_nothing
            keys_are_listed_in_the_order_of_their_bytes
            a_listing_is_of_its_prefix_only
            a_listing_starts_after_what_it_is_told
            keys_are_folded_at_the_first_slash_after_the_prefix
            folded_pages_give_each_prefix_once
            a_start_outside_the_prefix_gives_all_or_nothing
            a_page_goes_on_behind_a_directory_with_full_neighbours
            a_limit_outside_its_range_is_refused
            directories_of_every_size_are_paged_without_loss
            ten_thousand_keys_are_paged_without_loss
        }
    };
    (@each $make:path: $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let fixture = $make().await;
                $crate::conformance::$case(fixture.store.as_ref()).await;
            }
        )*
    };
}
