//! Runs the program.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// The demo's model, which `make setup` fetches.
pub(crate) fn model() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.local/models/sightline-demo");
    assert!(
        folder.join("config.json").is_file(),
        "the demo's model is not there: run `make setup`"
    );
    folder
}

/// The program with these arguments, and no settings from outside.
pub(crate) fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sightline"));
    command.args(args).env_remove("SIGHTLINE_SERVER").stdin(Stdio::null());
    command
}

/// What the program did.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ran {
    fn of(output: Output) -> Self {
        Self {
            code: output.status.code().expect("ended by itself"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Every line of the output as JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let read =
            |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}; {}", self.err));
        self.out.lines().map(read).collect()
    }
}

/// Runs the program to its end.
pub(crate) fn run(args: &[&str]) -> Ran {
    Ran::of(command(args).output().unwrap())
}

/// A standalone in a process of its own.
pub(crate) struct Server {
    child: Child,
    pub(crate) url: String,
}

impl Server {
    /// Starts it on a free port; without a model nothing is embedded.
    pub(crate) fn start(data: &Path, model: Option<&Path>) -> Self {
        Self::start_with(data, model, &[])
    }

    /// The same, with more arguments.
    pub(crate) fn start_with(data: &Path, model: Option<&Path>, more: &[&str]) -> Self {
        let mut command = command(&[
            "standalone",
            "--listen",
            "127.0.0.1:0",
            "--json",
            "--set",
            "telemetry.log=warn",
        ]);
        command.args(more).arg("--data").arg(data);
        if let Some(model) = model {
            command.arg("--model").arg(model);
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value = serde_json::from_str(&line).expect("the standalone says where it serves");
        Self {
            child,
            url: said["server"].as_str().unwrap().to_owned(),
        }
    }

    /// Runs the program against it.
    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().unwrap())
    }

    /// The program, about to be run against it.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = command(args);
        command.env("SIGHTLINE_SERVER", &self.url);
        command
    }

    /// Ends it as an operator would, and gives the exit code.
    pub(crate) fn end(mut self) -> i32 {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().code().expect("ended by itself")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // After `end` it is gone already.
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}
