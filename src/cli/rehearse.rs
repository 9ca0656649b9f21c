//! `recgate rehearse`: calls in three lanes, before and after a change and through recgate.
//!
//! 0: the client gets what it got, or what its terms announce. 1: it gets something else. 2: the
//! arguments, the configuration or the calls cannot be used; where nothing ran, nothing passed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::{Args, ValueEnum};

use super::{Exit, Settings, complain, print};
use crate::change::terms::Terms;
use crate::config::Config;
use crate::rehearse::scenario::{self, SHIPPED};
use crate::rehearse::text::{self, Which};
use crate::rehearse::{Dates, Rehearsal, Report};

/// After so many calls one line says that it goes on.
const PROGRESS_EVERY: usize = 200;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  recgate rehearse pauses                          pauses over all nine media, by who may and who may not
  recgate rehearse protection --only-differences   batches of deletion protection, under an access policy
  recgate rehearse protection --config my.toml     the same on your clients' terms
  recgate rehearse protection --client crm         on the terms of one of them
  recgate rehearse traffic.har --as agent-ana      recorded traffic, made by a principal of the mock
  recgate rehearse mine.toml --dates 2022-05-17,2022-05-18
docs/rehearse.md describes a scenario's file, and what counts as announced.")]
pub(super) struct RehearseArguments {
    /// HAR files (.har, .json), scenarios (.toml), or a shipped scenario: pauses, protection.
    #[arg(required = true, value_name = "CALLS")]
    calls: Vec<PathBuf>,
    #[command(flatten)]
    settings: Settings,
    /// The vendor's day before, and its day after.
    #[arg(long, value_name = "DAY,DAY", default_value = "2026-09-20,2026-09-21")]
    dates: Dates,
    /// Who makes recorded calls: a principal of the mock's world. A recording seldom has a token.
    #[arg(long = "as", value_name = "NAME", value_parser = principal)]
    caller: Option<String>,
    /// Every call on the terms of this client, however it shows itself.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Tell only the calls in which some lane differs from another.
    #[arg(long)]
    only_differences: bool,
    /// How to write it down.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For a person.
    Text,
    /// For a program: one object.
    Json,
}

pub(super) fn run(arguments: &RehearseArguments) -> Result<(), Exit> {
    let mut config = arguments.settings.load()?;
    if let Some(name) = &arguments.client {
        on_terms_of(&mut config, name)?;
    }
    let mut report = rehearse(config, arguments).map_err(unusable)?;
    if report.calls.is_empty() {
        let mut why = "nothing was rehearsed".to_owned();
        for (reason, calls) in report.reasons() {
            why = format!("{why}\n{}: {reason}", calls.len());
        }
        return Err(Exit::Unusable(why));
    }
    let which = if arguments.only_differences { Which::Different } else { Which::All };
    let written = match arguments.format {
        Format::Text => text::write(&report, which),
        Format::Json => {
            if which == Which::Different {
                report.calls.retain(crate::rehearse::Rehearsed::is_different);
            }
            serde_json::to_string_pretty(&report).context("the report")? + "\n"
        }
    };
    print(&written)?;
    match report.totals.unannounced {
        0 => Ok(()),
        count => Err(Exit::Wrong(format!(
            "{count} calls end otherwise than before, and the client's terms do not say so"
        ))),
    }
}

fn rehearse(
    config: Config,
    arguments: &RehearseArguments,
) -> Result<Report, crate::rehearse::RehearseError> {
    let mut rehearsal = Rehearsal::new(config, arguments.dates, |number| {
        if number.is_multiple_of(PROGRESS_EVERY) {
            complain(&format!("{number} calls rehearsed"));
        }
    })?;
    for path in &arguments.calls {
        let shipped = SHIPPED.iter().find(|(name, _)| path == Path::new(name));
        if let Some((name, text)) = shipped {
            rehearsal.scenario(name, &scenario::read(name, text, None)?)?;
        } else if path.extension().is_some_and(|it| it.eq_ignore_ascii_case("toml")) {
            let name = path.display().to_string();
            rehearsal.scenario(&name, &scenario::read_file(path)?)?;
        } else {
            rehearsal.har(path, arguments.caller.as_deref())?;
        }
    }
    Ok(rehearsal.finish())
}

/// Everybody is this client.
fn on_terms_of(config: &mut Config, name: &str) -> Result<(), Exit> {
    let named = config.clients.iter().map(|(_, terms)| terms).chain([&config.default_client]);
    let named: Vec<Arc<Terms>> = named.map(Arc::clone).collect();
    let Some(terms) = named.iter().find(|terms| &*terms.client == name) else {
        let known: Vec<&str> = named.iter().map(|terms| &*terms.client).collect();
        return Err(Exit::Unusable(format!(
            "--client {name}: the configuration has no such client; it has: {}",
            known.join(", ")
        )));
    };
    config.clients = Vec::new();
    config.default_client = Arc::clone(terms);
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "it is a function for `map_err`")]
fn unusable(error: impl ToString) -> Exit {
    Exit::Unusable(error.to_string())
}

fn principal(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(text.to_owned());
    }
    Err("a principal's token is visible ASCII without spaces".to_owned())
}
