//! What an engine died of, and whose fault that is.

use crate::journal::JournalStage;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// Signals by number (Linux on x86-64 and AArch64), and whether a process brings them upon itself.
const SIGNALS: [(i32, &str, bool); 10] = [
    (4, "SIGILL", true),
    (6, "SIGABRT", true),
    (7, "SIGBUS", true),
    (8, "SIGFPE", true),
    (11, "SIGSEGV", true),
    (1, "SIGHUP", false),
    (2, "SIGINT", false),
    (3, "SIGQUIT", false),
    (9, "SIGKILL", false),
    (15, "SIGTERM", false),
];

/// How an engine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Death {
    /// What killed it, in words: `SIGSEGV`, `the memory limit`, `exit code 75`.
    pub(crate) cause: String,
    /// Whether what it was working on can be to blame.
    pub(crate) own: bool,
    /// Whether it did not die by itself, but was killed for making no progress.
    pub(crate) hung: bool,
}

impl Death {
    /// Judges by exit status, and whether the kernel killed for memory in the engine's group meanwhile.
    pub(crate) fn of(status: ExitStatus, out_of_memory: bool) -> Self {
        let Some(signal) = status.signal() else {
            let code = status.code().unwrap_or_default();
            return Self {
                cause: format!("exit code {code}"),
                own: false,
                hung: false,
            };
        };
        let known = SIGNALS.iter().find(|(number, ..)| *number == signal);
        let (cause, own) = known.map_or((format!("signal {signal}"), false), |(_, name, own)| {
            ((*name).to_owned(), *own)
        });
        if out_of_memory && cause == "SIGKILL" {
            return Self {
                cause: "the memory limit (SIGKILL)".into(),
                own: true,
                hung: false,
            };
        }
        Self {
            cause,
            own,
            hung: false,
        }
    }

    /// The supervisor killed it, since it made no progress for so long.
    pub(crate) fn hung(still: Duration, own: bool) -> Self {
        Self {
            cause: format!("no progress for {} s", still.as_secs_f64().round()),
            own,
            hung: true,
        }
    }

    /// How it ended with an item in a stage, in words.
    pub(crate) fn while_in(&self, stage: JournalStage) -> String {
        let killed = if self.hung { "" } else { "killed by " };
        format!("{killed}{} while {}", self.cause, stage.gerund())
    }

    /// The engine could not even be started.
    pub(crate) fn not_started(error: &std::io::Error) -> Self {
        Self {
            cause: format!("it could not be started: {error}"),
            own: false,
            hung: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn killed_by(signal: i32) -> ExitStatus {
        ExitStatus::from_raw(signal)
    }

    #[test]
    fn a_crash_is_the_works_fault_and_a_kill_from_outside_is_not() {
        for (signal, name) in [
            (11, "SIGSEGV"),
            (6, "SIGABRT"),
            (7, "SIGBUS"),
            (4, "SIGILL"),
            (8, "SIGFPE"),
        ] {
            assert_eq!(
                Death::of(killed_by(signal), false),
                Death {
                    cause: name.into(),
                    own: true,
                    hung: false
                }
            );
        }
        for signal in [9, 15, 2, 40] {
            assert!(!Death::of(killed_by(signal), false).own, "{signal}");
        }
        assert_eq!(Death::of(ExitStatus::from_raw(75 << 8), false).cause, "exit code 75");
    }

    #[test]
    fn a_kill_at_the_memory_limit_is_the_works_fault() {
        let death = Death::of(killed_by(9), true);
        assert!(death.own);
        assert_eq!(death.cause, "the memory limit (SIGKILL)");
        assert!(!Death::of(killed_by(15), true).own);
    }
}
