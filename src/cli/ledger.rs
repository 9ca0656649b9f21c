//! `recgate ledger`: look at the ledger, hand it on, and prove that it is what was written.
//!
//! None of these commands writes to the ledger; they may run beside the gateway. `verify` exits
//! with 1 where something is not as it was written.

use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{Exit, Settings, StandardOutput, print, serve};
use crate::config::Config;
use crate::ledger::OpenError;
use crate::ledger::record::{Record, Shown};
use crate::ledger::search::{self, Filter};
use crate::ledger::settings::Place;
use crate::ledger::verify::{self, Anchor};
use crate::limits::LEDGER_ANCHOR_BYTES;

#[derive(Debug, Subcommand)]
pub(super) enum LedgerCommand {
    /// Show records, one a line, oldest first.
    #[command(after_help = "Examples:
  recgate ledger show --since 2026-09-21
  recgate ledger show --client crm --conversation c0000000-0000-4000-8000-000000000001")]
    Show(Search),
    /// Write records as JSON lines, with their hashes, oldest first.
    #[command(after_help = "Examples:
  recgate ledger export > ledger.jsonl
  recgate ledger export --since 2026-09-01 --until 2026-10-01 --config my.toml")]
    Export(Search),
    /// Compute every chain again; tell the first record that is not what was written.
    #[command(after_help = "Examples:
  recgate ledger verify
  recgate ledger verify --write-anchor /mnt/elsewhere/anchor.json   what is there today
  recgate ledger verify --anchor /mnt/elsewhere/anchor.json         was anything cut off since?

Without an anchor the newest records of the newest chain could be cut off unseen.")]
    Verify(Verify),
}

#[derive(Args, Debug)]
pub(super) struct Search {
    #[command(flatten)]
    settings: Settings,
    /// Only of this client.
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only about this conversation or recording.
    #[arg(long, value_name = "ID")]
    conversation: Option<String>,
    /// Not before this day or time (UTC): 2026-09-21, 2026-09-21T08:30:00Z.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Before this day or time.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
}

#[derive(Args, Debug)]
pub(super) struct Verify {
    #[command(flatten)]
    settings: Settings,
    /// Hold it against an anchor that was kept elsewhere.
    #[arg(long, value_name = "FILE")]
    anchor: Option<PathBuf>,
    /// Write an anchor, if nothing is broken.
    #[arg(long, value_name = "FILE")]
    write_anchor: Option<PathBuf>,
}

pub(super) fn run(command: &LedgerCommand) -> Result<(), Exit> {
    match command {
        LedgerCommand::Show(search) => records(search, |out, record| {
            writeln!(out, "{}", search::line(record)).map_err(anyhow::Error::from)
        }),
        LedgerCommand::Export(search) => records(search, |out, record| {
            serde_json::to_writer(&mut *out, &Shown::of(record))?;
            writeln!(out).map_err(anyhow::Error::from)
        }),
        LedgerCommand::Verify(arguments) => verify(arguments),
    }
}

fn records(
    search: &Search,
    show: impl Fn(&mut dyn Write, &Record) -> anyhow::Result<()>,
) -> Result<(), Exit> {
    let config = load(&search.settings)?;
    let filter = Filter {
        client: search.client.clone(),
        subject: search.conversation.clone(),
        since: search.since,
        until: search.until,
    };
    let mut out = BufWriter::new(std::io::stdout().lock());
    serve::runtime()?.block_on(search::search(&config.ledger, &filter, |record| {
        show(&mut out, record).context(StandardOutput).map_err(Stopped::Output)
    }))?;
    out.flush().context(StandardOutput).map_err(Exit::from)
}

fn counted(count: impl std::fmt::Display, what: &str) -> String {
    let count = count.to_string();
    let s = if count == "1" { "" } else { "s" };
    format!("{count} {what}{s}")
}

fn verify(arguments: &Verify) -> Result<(), Exit> {
    let config = load(&arguments.settings)?;
    let anchor = arguments.anchor.as_deref().map(read_anchor).transpose()?;
    let verdict = serve::runtime()?
        .block_on(verify::verify(&config.ledger, anchor.as_ref()))
        .map_err(unusable)?;
    let mut told = Vec::new();
    let mut total = 0;
    for (writer, chain) in &verdict.chains {
        total += chain.records;
        let removed = match chain.removed {
            0 => String::new(),
            through => format!(", 1 to {through} removed by age"),
        };
        told.push(format!("{writer}  {}{removed}\n", counted(chain.records, "record")));
    }
    if let Some(broken) = verdict.broken {
        print(&told.concat())?;
        let place = match broken.seq {
            0 => broken.writer,
            seq => format!("writer {}, record {seq}", broken.writer),
        };
        let more = match verdict.faults {
            1 => String::new(),
            faults => format!(" (the first of {faults} faults)"),
        };
        return Err(Exit::Wrong(format!("the ledger is broken: {place}: {}{more}", broken.why)));
    }
    let chains = verdict.chains.len();
    let (records, chains) = (counted(total, "record"), counted(chains, "chain"));
    let are = if total == 1 { "is" } else { "are" };
    told.push(format!("{records} in {chains} {are} what was written\n"));
    print(&told.concat())?;
    if let Some(path) = &arguments.write_anchor {
        let text = serde_json::to_string_pretty(&Anchor::of(&verdict)).context("the anchor")?;
        std::fs::write(path, text + "\n")
            .map_err(|error| Exit::Unusable(format!("{}: {error}", path.display())))?;
        print(&format!("anchor written to {}\n", path.display()))?;
    }
    Ok(())
}

fn load(settings: &Settings) -> Result<Config, Exit> {
    let config = settings.load()?;
    if config.ledger.place == Place::Memory {
        let why = "ledger.url is \"memory:\": such a ledger ends with its gateway; while that runs, its admin side shows it at /ledger";
        return Err(Exit::Unusable(why.to_owned()));
    }
    Ok(config)
}

fn read_anchor(path: &Path) -> Result<Anchor, Exit> {
    let fault = |why: String| Exit::Unusable(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| fault(error.to_string()))?;
    file.take(LEDGER_ANCHOR_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| fault(error.to_string()))?;
    serde_json::from_str(&text).map_err(|error| fault(format!("is no anchor: {error}")))
}

/// A day begins at midnight UTC.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day = text.parse::<Date>().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
    day.map(|day| day.timestamp())
        .ok_or_else(|| "must be a day (2026-09-21) or a time (2026-09-21T08:30:00Z)".to_owned())
}

/// Why a listing ended early.
enum Stopped {
    Ledger(OpenError),
    Output(anyhow::Error),
}

impl From<OpenError> for Stopped {
    fn from(error: OpenError) -> Self {
        Self::Ledger(error)
    }
}

impl From<Stopped> for Exit {
    fn from(stopped: Stopped) -> Self {
        match stopped {
            Stopped::Ledger(error) => unusable(error),
            Stopped::Output(error) => Self::Other(error),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is a function for `map_err`")]
fn unusable(error: OpenError) -> Exit {
    Exit::Unusable(error.to_string())
}
