//! `recgate config`: check a configuration, or print the one that would be used.

use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use super::{Exit, Settings, mock, print};
use crate::config::{BUILT_IN, Config, ConfigError, Layers, listeners};
use crate::gateway::{deliver, tls, upstream};
use crate::ledger;

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
            let (config, mut faults) =
                layers.examine().map_err(|error| Exit::Config(vec![error]))?;
            // What stands in the place of a faulty value is no fault of its own.
            let known: Vec<String> = faults.iter().map(|it| it.key.clone()).collect();
            let more = crossed(&layers, &config).into_iter().chain(unusable(&layers, &config));
            faults.extend(more.filter(|it| !known.contains(&it.key)));
            if !faults.is_empty() {
                return Err(Exit::Config(faults));
            }
            let raw = layers.raw().map_err(|error| Exit::Config(vec![error]))?;
            toml::to_string_pretty(&raw).context("the configuration cannot be printed")?
        }
    };
    print(&text)
}

/// Addresses that a process which serves cannot have.
pub(super) fn crossed(layers: &Layers, config: &Config) -> Vec<ConfigError> {
    let faults = listeners::crossed(config).into_iter();
    faults.map(|(key, message)| layers.fault(&key, message)).collect()
}

/// What only using the values shows: files that cannot be read or written, or do not fit together.
pub(super) fn unusable(layers: &Layers, config: &Config) -> Vec<ConfigError> {
    let mut faults = Vec::new();
    for (key, error) in ledger::check(&config.ledger) {
        faults.push(layers.fault(&format!("ledger.{key}"), error.to_string()));
    }
    for upstream in &config.upstreams {
        for (key, error) in upstream::check(upstream) {
            let key = format!("upstream.{}.{key}", upstream.name);
            faults.push(layers.fault(key.trim_end_matches('.'), error.to_string()));
        }
    }
    for (key, error) in config.gateway.tls.iter().flat_map(tls::check) {
        let key = format!("gateway.tls.{key}");
        faults.push(layers.fault(key.trim_end_matches('.'), error.to_string()));
    }
    for subscription in &config.subscriptions {
        if let Err(error) = deliver::check(subscription) {
            let key = format!("subscription.{}.ca_file", subscription.name);
            faults.push(layers.fault(&key, error.to_string()));
        }
    }
    if let Err(error) = mock::prepare(config) {
        faults.push(layers.fault("mock.world", format!("{error:#}")));
    }
    faults
}
