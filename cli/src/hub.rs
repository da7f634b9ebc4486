//! Models of the Hugging Face Hub: how it is reached, and what a person sees of a pull.

use crate::console::Console;
use crate::error::CliError;
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use sightline_hub::{HubConfig, HubError, HubOptions, Progress, resolve};
use sightline_service::config::{Secret, SecretUrl};
use std::convert::Infallible;
use std::path::{Path, PathBuf};

/// How the hub is reached.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Hugging Face Hub, for models named hf:ORG/NAME[@REVISION]")]
pub(crate) struct HubArgs {
    /// The folder that pulled models are kept in; ~/.cache/sightline/models by default.
    #[arg(long, value_name = "DIR", env = "SIGHTLINE_HUB__CACHE")]
    pub(crate) model_cache: Option<PathBuf>,
    /// The token of an account, for private and gated models; better given as the variable HF_TOKEN, which other users
    /// of this machine cannot see.
    #[arg(long, value_name = "TOKEN", value_parser = secret)]
    hf_token: Option<Secret>,
    /// Another server than huggingface.co that speaks its API; the variable HF_ENDPOINT by default.
    #[arg(long, value_name = "URL", value_parser = SecretUrl::parse)]
    hf_endpoint: Option<SecretUrl>,
    /// Never ask the hub: take what was pulled before. The variable HF_HUB_OFFLINE=1 says the same.
    #[arg(long)]
    offline: bool,
}

fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

impl HubArgs {
    /// As the services' configuration says it.
    pub(crate) fn config(&self) -> HubConfig {
        HubConfig {
            cache: self.model_cache.clone(),
            endpoint: self.hf_endpoint.clone(),
            token: self.hf_token.clone().unwrap_or_default(),
            offline: self.offline,
        }
    }

    pub(crate) fn options(&self) -> Result<HubOptions, CliError> {
        Ok(self.config().options_of_process()?)
    }

    /// The folder of a model that was given as one, or as `hf:…`; that is pulled where it is not there.
    pub(crate) async fn resolve(&self, given: &Path, console: Console) -> Result<PathBuf, CliError> {
        let shown = Shown::new(console);
        let folder = resolve(given, &self.options()?, &shown).await;
        shown.end();
        Ok(folder?)
    }
}

impl From<HubError> for CliError {
    fn from(error: HubError) -> Self {
        let text = error.to_string();
        match error {
            HubError::Reference(_)
            | HubError::Endpoint
            | HubError::Token
            | HubError::NoCache
            | HubError::NoRepository { .. }
            | HubError::NoRevision { .. }
            | HubError::OnlyPickles { .. }
            | HubError::NoModel { .. }
            | HubError::Occupied { .. } => Self::Usage(text),
            _ => Self::Failed(text),
        }
    }
}

/// A pull on the screen: a bar on a terminal, lines elsewhere, nothing for programs.
#[derive(Debug)]
pub(crate) struct Shown {
    console: Console,
    bar: Option<ProgressBar>,
}

impl Shown {
    pub(crate) fn new(console: Console) -> Self {
        let bar = console.has_bar().then(|| {
            let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr_with_hz(8));
            let template = "{bar:28.cyan/238} {bytes} of {total_bytes}, {bytes_per_sec}  {msg}";
            // A template that does not parse would show indicatif's own bar.
            match ProgressStyle::with_template(template) {
                Ok(style) => bar.with_style(style.progress_chars("━━─")),
                Err(_) => bar,
            }
        });
        Self { console, bar }
    }

    /// Takes the bar off the screen.
    pub(crate) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| self.console.note(text)),
            None => self.console.note(text),
        }
    }
}

impl Progress for Shown {
    fn resolved(&self, model: &str, commit: &str) {
        // Who names the commit knows it.
        if !model.ends_with(commit) {
            self.note(&format!("{model} is commit {commit}"));
        }
    }

    fn begins(&self, files: usize, bytes: u64, present: u64) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(bytes);
                bar.set_position(present);
            }
            None => self.note(&format!("{files} files of {bytes} bytes; {present} are here")),
        }
    }

    fn file(&self, path: &str, bytes: u64) {
        match &self.bar {
            Some(bar) => bar.set_message(path.to_owned()),
            None => self.note(&format!("{path}: {bytes} bytes")),
        }
    }

    fn bytes(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.inc(count);
        }
    }

    fn again(&self, count: u64) {
        if let Some(bar) = &self.bar {
            bar.dec(count);
        }
    }

    fn retrying(&self, path: &str, reason: &str) {
        self.note(&format!("the download of {path} broke ({reason}): trying again"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_not_shown() {
        let args = HubArgs {
            hf_token: Some(Secret::new("hf_hunter2")),
            ..HubArgs::default()
        };
        assert_eq!(args.config().token.expose(), "hf_hunter2");
        assert!(!format!("{args:?}").contains("hunter2"));
    }
}
