//! Asking before something is deleted that only a new run brings back.

use crate::error::CliError;
use std::io::{BufRead, IsTerminal, Write};

/// Goes on only where a person writes the collection's name.
pub(crate) async fn ask(collection: &str, what: &str) -> Result<(), CliError> {
    if !std::io::stdin().is_terminal() {
        let text = format!("cannot ask whether to delete {what}: give --yes");
        return Err(CliError::Usage(text));
    }
    let mut err = std::io::stderr();
    write!(err, "This deletes {what}. Write the collection's name to go on: ")?;
    err.flush()?;
    let read = tokio::task::spawn_blocking(|| {
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line).map(|_| line)
    });
    let answer = read
        .await
        .map_err(|error| CliError::Failed(format!("cannot read the answer: {error}")))??;
    if answer.trim() == collection {
        Ok(())
    } else {
        Err(CliError::Failed("nothing was deleted".into()))
    }
}
