//! `recgate config`: check a configuration, or print the one that would be used.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use super::{Exit, Settings, mock};
use crate::config::BUILT_IN;
use crate::gateway::{deliver, tls, upstream};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Say what is wrong and where (file, line, column, key, what is allowed), or print the
    /// effective configuration: file, RECGATE_ variables and --set together.
    Check {
        /// The file; left out: the built-in one.
        #[arg(env = "RECGATE_CONFIG")]
        file: Option<PathBuf>,
        /// Override one key.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        set: Vec<String>,
    },
    /// Print the built-in configuration with its comments: the manual.
    Default,
}

pub(super) fn run(command: &ConfigCommand) -> Result<(), Exit> {
    let text = match command {
        ConfigCommand::Default => BUILT_IN.to_owned(),
        ConfigCommand::Check { file, set } => {
            let settings = Settings { config: file.clone(), set: set.clone() };
            let layers = settings.layers()?;
            let config = layers.load().map_err(Exit::Config)?;
            for upstream in &config.upstreams {
                upstream::check(upstream).map_err(anyhow::Error::from)?;
            }
            if let Some(files) = &config.gateway.tls {
                tls::check(files).map_err(anyhow::Error::from)?;
            }
            for subscription in &config.subscriptions {
                deliver::check(subscription).map_err(anyhow::Error::from)?;
            }
            mock::prepare(&config)?;
            let raw = layers.raw().map_err(|error| Exit::Config(vec![error]))?;
            toml::to_string_pretty(&raw).context("the configuration cannot be printed")?
        }
    };
    std::io::stdout().write_all(text.as_bytes()).context("standard output").map_err(Exit::from)
}
