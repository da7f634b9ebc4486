//! A run from here to its end, on the screen.

mod line;
pub(crate) mod progress;
pub(crate) mod summary;

use crate::console::Console;
use crate::error::{CliError, Exit, Outcome};
use crate::json;
use crate::servers::Servers;
use crate::text::{id_of, is_final};
use progress::Progress;
use sightline_proto::v1;
use sightline_proto::v1::run::State;
use std::time::Duration;
use tonic::{Code, Status};

/// How often in a row a lost connection is made again, and the longest delay between two attempts.
const RECONNECTS: u32 = 8;
const MAX_DELAY: Duration = Duration::from_secs(10);

/// Watches a run until it has ended, and says how. Ctrl-C ends the watching only.
pub(crate) async fn until_end(servers: &Servers, name: &str, console: Console) -> Outcome {
    let run = tokio::select! {
        run = follow(servers, name, console, |run| tell(run, console)) => run?,
        _ = tokio::signal::ctrl_c() => {
            let (id, flag) = (id_of(name, "runs"), servers.coordinator_flag());
            console.note(&format!(
                "\n{name} goes on; watch it with `sightline runs watch {id}{flag}`, end it with `sightline runs cancel \
                 {id}{flag}`"
            ));
            return Ok(Exit::Interrupted);
        }
    };
    if !console.is_json() {
        console.say(&summary::text(&run, &servers.coordinator_flag()))?;
    }
    Ok(exit_of(&run))
}

/// For programs: every state of the run.
fn tell(run: &v1::Run, console: Console) -> Result<(), CliError> {
    if console.is_json() {
        console.json(&json::of(run)?)
    } else {
        Ok(())
    }
}

/// Watches a run until it has ended; `tell` is given every state of it.
pub(crate) async fn follow(
    servers: &Servers,
    name: &str,
    console: Console,
    tell: impl Fn(&v1::Run) -> Result<(), CliError>,
) -> Result<v1::Run, CliError> {
    let mut progress = Progress::new(console);
    let mut lost = 0;
    loop {
        let error = match watch_once(servers, name, &tell, &mut progress, &mut lost).await {
            Ok(Some(run)) => return Ok(run),
            // The stream ended with the server.
            Ok(None) => CliError::Failed("the connection to the coordinator was lost".into()),
            Err(Broken::Lost(error)) => error,
            Err(Broken::Final(error)) => return Err(error),
        };
        // The first connection is no lost one: a server that never was there is told at once.
        if lost >= RECONNECTS || !progress.has_seen_any() {
            return Err(error);
        }
        lost += 1;
        progress.reconnecting();
        tokio::time::sleep(Duration::from_millis(250 << lost).min(MAX_DELAY)).await;
    }
}

enum Broken {
    Lost(CliError),
    Final(CliError),
}

async fn watch_once(
    servers: &Servers,
    name: &str,
    tell: &impl Fn(&v1::Run) -> Result<(), CliError>,
    progress: &mut Progress,
    lost: &mut u32,
) -> Result<Option<v1::Run>, Broken> {
    let mut client = servers.coordinator().await.map_err(Broken::Lost)?;
    let request = v1::WatchRunRequest { name: name.to_owned() };
    let mut states = client
        .watch_run(request)
        .await
        .map_err(|status| broken(&status))?
        .into_inner();
    while let Some(message) = states.message().await.map_err(|status| broken(&status))? {
        let Some(run) = message.run else { continue };
        *lost = 0;
        tell(&run).map_err(Broken::Final)?;
        progress.show(&run);
        if is_final(run.state()) {
            progress.end();
            return Ok(Some(run));
        }
    }
    Ok(None)
}

fn broken(status: &Status) -> Broken {
    let error = CliError::call("watch the run", status);
    match status.code() {
        Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled => Broken::Lost(error),
        _ => Broken::Final(error),
    }
}

/// What a run that has ended means for a program.
pub(crate) fn exit_of(run: &v1::Run) -> Exit {
    match run.state() {
        State::Succeeded => Exit::Success,
        State::PartiallySucceeded => Exit::Partial,
        _ => Exit::Stopped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_says_how_a_run_ended() {
        let ended = |state: State| {
            exit_of(&v1::Run {
                state: state.into(),
                ..v1::Run::default()
            })
        };
        assert_eq!(ended(State::Succeeded), Exit::Success);
        assert_eq!(ended(State::PartiallySucceeded), Exit::Partial);
        assert_eq!(ended(State::Failed), Exit::Stopped);
        assert_eq!(ended(State::Cancelled), Exit::Stopped);
    }
}
