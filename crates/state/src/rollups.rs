use crate::{State, StateError};
use sightline_core::digest::sha256_hex;
use sightline_core::document::Document;
use sightline_core::layout;
use sightline_core::{LinkId, RollUp, RunId};
use sightline_objects::ListRequest;

impl State {
    /// The roll-ups that start with a link: several where results came in between.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn roll_ups(&self, run: &RunId, link: &LinkId) -> Result<Vec<RollUp>, StateError> {
        let request = ListRequest::all(layout::roll_ups(run, link));
        let mut found = Vec::new();
        for object in self.store.list(&request).await?.objects {
            found.extend(self.read(&object.key).await?);
        }
        Ok(found)
    }

    /// Writes a roll-up below the link that it starts with.
    ///
    /// # Errors
    /// When the state cannot be written.
    pub async fn put_roll_up(&self, link: &LinkId, roll_up: &RollUp) -> Result<(), StateError> {
        let bytes = roll_up.to_bytes();
        let key = layout::roll_up(&roll_up.run, link, &sha256_hex(&bytes));
        Ok(self.write_json(&key, bytes).await?)
    }
}
