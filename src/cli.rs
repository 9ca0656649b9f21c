//! The command line: one file a command.
//!
//! Data goes to standard output, logs and errors to standard error. Exit codes: 0 done, 1 the
//! command found or met something wrong, 2 the arguments or the configuration cannot be used.

mod asking;
mod changes;
mod check;
mod clients;
mod config;
mod deliveries;
mod hook;
mod ledger;
mod mock;
mod rehearse;
mod serve;
mod spec;
mod trigger;

use std::fmt;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand};

use crate::config::{Config, ConfigError, Layers};

/// A gateway for call-recording APIs: integrations that are pointed at it keep working, unchanged,
/// while the vendor's API moves on; every message on every hop is checked against its contract.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:
  recgate serve                                   gateway, mock vendor and admin side on loopback
  recgate serve --set gateway.listen=0.0.0.0:80   the same on another address
  recgate serve --config my.toml                  with your own upstreams and clients
  recgate check traffic.har                       recorded traffic against the contracts
  recgate rehearse protection                     what becomes of calls when the vendor changes, and through recgate
  recgate changes                                 what happened to the APIs, and what applies to whom
  recgate clients                                 who still lives on the old API
  recgate hook test crm event.json                what a trigger would make of an event
  recgate ledger verify                           what was done to recordings: is it all there?
  recgate hook deliveries --state dead            which subscribers were not told
  recgate spec lint openapi.yaml                  what a contract says, and what is not understood
  recgate config check my.toml                    what is wrong with it, and where
  recgate config default > my.toml                the manual, to start from"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gateway, the admin side and, where an upstream's url is "mock", the mock vendor.
    Serve(serve::ServeArguments),
    /// Run the mock vendor alone.
    Mock(Settings),
    /// Check recorded traffic (HAR files) against the contracts, offline.
    Check(check::CheckArguments),
    /// Run calls in three lanes: before a change, after it, and after it through recgate.
    Rehearse(rehearse::RehearseArguments),
    /// Check or print the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// List what happened to the APIs, and what of it applies to which client.
    Changes(changes::ChangesArguments),
    /// List which clients still use what an announcement has left behind.
    Clients(clients::ClientsArguments),
    /// Look at the ledger, export it, and prove that nobody has changed it.
    #[command(subcommand)]
    Ledger(ledger::LedgerCommand),
    /// Events in and out: try the rules of a trigger, look at deliveries and send them again.
    #[command(subcommand)]
    Hook(hook::HookCommand),
    /// Look into OpenAPI documents.
    #[command(subcommand)]
    Spec(spec::SpecCommand),
}

/// Where the configuration comes from.
#[derive(Args, Clone, Debug)]
struct Settings {
    /// A configuration file in place of the built-in one.
    #[arg(long, value_name = "FILE", env = "RECGATE_CONFIG")]
    config: Option<PathBuf>,
    /// Override one key: gateway.listen=127.0.0.1:8000, upstream.genesys.url=https://…
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
enum Exit {
    /// The configuration.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Config(Vec<ConfigError>),
    /// What was given to the command.
    #[error("{0}")]
    Unusable(String),
    /// What the command found.
    #[error("{0}")]
    Wrong(String),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

/// What an error says it happened to, where somebody reads what a command prints: only there does a
/// pipe that breaks mean that the reader has seen enough.
#[derive(Clone, Copy, Debug)]
struct StandardOutput;

/// Parses the arguments of this process and runs the command they name.
#[must_use]
pub fn run() -> ExitCode {
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        // clap names the argument, which nobody has given, and not the variable that stands for it.
        let empty = error.get(ContextKind::InvalidValue);
        let unset = std::env::var_os("RECGATE_CONFIG").is_some_and(|it| it.is_empty());
        if unset && matches!(empty, Some(ContextValue::String(it)) if it.is_empty()) {
            complain("RECGATE_CONFIG is empty: it has to name a file, or not to be set");
            std::process::exit(2);
        }
        error.exit()
    });
    let done = match cli.command {
        Command::Serve(settings) => serve::run(&settings),
        Command::Mock(settings) => mock::run(&settings),
        Command::Check(arguments) => check::run(&arguments),
        Command::Rehearse(arguments) => rehearse::run(&arguments),
        Command::Changes(arguments) => changes::run(&arguments),
        Command::Clients(arguments) => clients::run(&arguments),
        Command::Config(command) => config::run(&command),
        Command::Ledger(command) => ledger::run(&command),
        Command::Hook(command) => hook::run(&command),
        Command::Spec(command) => spec::run(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read has seen enough, as `head` has: nothing is wrong.
        Err(Exit::Other(error)) if is_unread(&error) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                complain(line);
            }
            match error {
                Exit::Config(_) | Exit::Unusable(_) => ExitCode::from(2),
                Exit::Wrong(_) | Exit::Other(_) => ExitCode::FAILURE,
            }
        }
    }
}

/// Says something on standard error, where anybody reads it.
fn complain(what: &str) {
    let _ = writeln!(std::io::stderr(), "recgate: {what}");
}

/// Writes the whole of what a command has to say. Whoever does not read on has seen enough, and what
/// the command found is told by its exit code all the same.
fn print(text: &str) -> Result<(), Exit> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context(StandardOutput).map_err(Exit::from),
    }
}

/// Whether standard output could not be written to because nobody reads it any more. Other pipes that
/// break, such as a database's, are errors like any other.
fn is_unread(error: &anyhow::Error) -> bool {
    error.is::<StandardOutput>()
        && error.chain().any(|cause| {
            let io = cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            let json = cause.downcast_ref::<serde_json::Error>();
            let kind = io.or_else(|| json.and_then(serde_json::Error::io_error_kind));
            kind == Some(std::io::ErrorKind::BrokenPipe)
        })
}

// === impl StandardOutput ===

impl fmt::Display for StandardOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output")
    }
}

// === impl Settings ===

impl Settings {
    fn layers(&self) -> Result<Layers, Exit> {
        let one = |error| Exit::Config(vec![error]);
        // `--config` and its variable have been read by clap.
        let variables = std::env::vars_os().filter(|(name, _)| name != "RECGATE_CONFIG");
        let layers = Layers::open(self.config.as_deref()).map_err(one)?;
        let mut layers = layers.with_variables(variables).map_err(Exit::Config)?;
        for assignment in &self.set {
            layers = layers.with_flag("--set", assignment).map_err(one)?;
        }
        Ok(layers)
    }

    fn load(&self) -> Result<Config, Exit> {
        self.layers()?.load().map_err(Exit::Config)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::{Error, ErrorKind};

    use anyhow::Context;

    use super::{StandardOutput, is_unread};

    #[test]
    fn only_standard_output_may_lose_its_reader() {
        let broken = || Err::<(), _>(Error::from(ErrorKind::BrokenPipe));
        let json = serde_json::Error::io(ErrorKind::BrokenPipe.into());
        assert!(is_unread(&broken().context(StandardOutput).unwrap_err()));
        assert!(is_unread(&Err::<(), _>(json).context(StandardOutput).unwrap_err()));
        assert!(!is_unread(&broken().context("ledger").unwrap_err()));
        let full = Error::from(ErrorKind::StorageFull);
        assert!(!is_unread(&Err::<(), _>(full).context(StandardOutput).unwrap_err()));
    }
}
