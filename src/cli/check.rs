//! `recgate check`: recorded traffic against the contracts, offline, by the engine that judges
//! live traffic.
//!
//! 0: nothing is broken. 1: a rule is broken, or less was covered than was asked for. 2: the
//! arguments, the configuration or the traffic cannot be used; where nothing could be checked,
//! nothing passed.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Exit, Settings, config, print};
use crate::contract::{ContractDate, Strictness, Undeclared};
use crate::gateway::recorded::Examiner;
use crate::report::outcome::{Gathering, Outcome};
use crate::report::{Coverage, Findings, har, junit, sarif, text};

#[derive(Args, Debug)]
pub(super) struct CheckArguments {
    /// HAR 1.2 files: a browser's, a proxy's, our own.
    #[arg(required = true, value_name = "TRAFFIC.har")]
    traffic: Vec<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// Take every entry for a call of this upstream; left out: by host and path, as the gateway
    /// would.
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
    /// Hold both sides against the contract of this day, or of `latest`; left out: each client and
    /// upstream against its own.
    #[arg(long, value_name = "DATE")]
    as_of: Option<ContractDate>,
    /// Tell what the contracts do not declare, too: properties, parameters, cookies, headers.
    #[arg(long)]
    strict: bool,
    /// How to write it down.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Where to; left out: standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Fail with less than so many of 100 declared answers seen, of the contracts that the traffic
    /// concerns; also where these declare none.
    #[arg(long, value_name = "PERCENT", value_parser = percent)]
    fail_under: Option<f64>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For a person.
    Text,
    /// Everything.
    Json,
    /// A case an operation and status.
    Junit,
    /// SARIF 2.1.0, located in the contract's files.
    Sarif,
}

pub(super) fn run(arguments: &CheckArguments) -> Result<(), Exit> {
    let layers = arguments.settings.layers()?;
    let mut config = layers.load().map_err(Exit::Config)?;
    if arguments.strict {
        for upstream in &mut config.upstreams {
            upstream.strictness = Strictness::all(Undeclared::Reject);
        }
    }
    let (findings, coverage) = (Findings::default(), Coverage::default());
    let examiner = Examiner::new(
        &config,
        arguments.upstream.as_deref(),
        arguments.as_of,
        findings.clone(),
        &coverage,
    )
    .map_err(|error| {
        // Other files of a gateway's are not needed here, and may be missing.
        let mut faults = config::unusable(&layers, &config);
        faults.retain(|it| it.key.starts_with("upstream."));
        if faults.is_empty() { unusable(error) } else { Exit::Config(faults) }
    })?;
    let mut gathering = Gathering::default();
    for path in &arguments.traffic {
        har::read_file(path, |entry| gathering.add(examiner.examine(&entry))).map_err(unusable)?;
    }
    let files = arguments.traffic.iter().map(|path| path.display().to_string()).collect();
    let outcome = gathering.finish(files, findings.list(), coverage.touched());
    if outcome.entries == 0 {
        return Err(Exit::Unusable("nothing was checked: the traffic has no entries".to_owned()));
    }
    if outcome.entries == outcome.unmatched + outcome.beside {
        return Err(Exit::Unusable(format!(
            "nothing was checked: of {} entries none belongs to an upstream; name it with --upstream",
            outcome.entries
        )));
    }

    let written = match arguments.format {
        Format::Text => text::write(&outcome),
        Format::Json => serde_json::to_string_pretty(&outcome).map_err(unusable)? + "\n",
        Format::Junit => junit::write(&outcome).map_err(unusable)?,
        Format::Sarif => sarif::write(&outcome).map_err(unusable)?,
    };
    put(arguments.output.as_deref(), &written)?;
    verdict(&outcome, arguments.fail_under)
}

fn verdict(outcome: &Outcome, fail_under: Option<f64>) -> Result<(), Exit> {
    let mut wrong = Vec::new();
    let violating = outcome.violating();
    if violating > 0 {
        wrong.push(format!("{violating} of {} exchanges break a contract", outcome.entries));
    }
    let totals = outcome.coverage.totals;
    if let Some(wanted) = fail_under {
        if totals.declared == 0 {
            wrong.push(
                "there is no coverage: the contracts that the traffic concerns declare no answers"
                    .to_owned(),
            );
        } else if totals.percent < wanted {
            wrong.push(format!("coverage is {:.2} %, under {wanted} %", totals.percent));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(Exit::Wrong(wrong.join("\n"))) }
}

fn put(output: Option<&Path>, text: &str) -> Result<(), Exit> {
    match output {
        Some(path) => std::fs::write(path, text)
            .map_err(|error| unusable(format!("{}: {error}", path.display()))),
        None => print(text),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is a function for `map_err`")]
fn unusable(error: impl ToString) -> Exit {
    Exit::Unusable(error.to_string())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse().ok();
    percent
        .filter(|percent| (0.0..=100.0).contains(percent))
        .ok_or_else(|| "a percentage is a number from 0 to 100".to_owned())
}
