//! `recgate spec`: what a contract says, and what of it is not understood.
//!
//! The gateway reads a document the same way and serves with what it understood; here it is said
//! before anything is served, with the place of each thing. Errors end in exit code 1, warnings
//! alone in 0.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand, ValueEnum};
use jiff::civil::Date;
use serde::Serialize;

use super::{Exit, print};
use crate::contract::{
    ContractDate, DatedOverlay, Input, Note, Severity, Summary, Timeline, UriTable,
};

#[derive(Debug, Subcommand)]
pub(super) enum SpecCommand {
    /// Print what was understood of OpenAPI 3.0, 3.1 and Swagger 2.0 documents, and what was not.
    #[command(
        after_help = "Exit codes: 0 no errors (warnings may be), 1 errors, 2 unusable arguments.

Examples:
  recgate spec lint openapi.yaml
  recgate spec lint openapi.yaml --overlay 2026-09-21=before.overlay.yaml
  recgate spec lint api.json --uri https://example.com/common.json=common.json
  recgate spec lint calls.yaml recordings.yaml --together     two documents, one API
  recgate spec lint openapi.yaml --format json | jq '.errors'"
    )]
    Lint(LintArguments),
}

#[derive(Args, Debug)]
pub(super) struct LintArguments {
    /// Documents, JSON or YAML; each is looked at by itself.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A URI that a document refers to, and the file that stands for it. Nothing is fetched.
    #[arg(long = "uri", value_name = "URI=FILE", value_parser = uri)]
    uris: Vec<(String, PathBuf)>,
    /// An OpenAPI Overlay 1.0, and the first day on which it holds no more.
    #[arg(long = "overlay", value_name = "DATE=FILE", value_parser = overlay)]
    overlays: Vec<(Date, PathBuf)>,
    /// The files are the documents of one API.
    #[arg(long)]
    together: bool,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// For a person: a line each.
    Text,
    /// For a program: one object.
    Json,
}

/// What was said of one API.
#[derive(Debug, Default, Serialize)]
struct Said {
    documents: Vec<Summary>,
    /// Days on which the API changed, and the operations it had before.
    dates: Vec<Past>,
    notes: Vec<Note>,
}

#[derive(Debug, Serialize)]
struct Past {
    before: Date,
    operations: usize,
}

/// What was said of all of them.
#[derive(Debug, Serialize)]
struct Report {
    contracts: Vec<Said>,
    errors: usize,
    warnings: usize,
}

pub(super) fn run(command: &SpecCommand) -> Result<(), Exit> {
    let SpecCommand::Lint(arguments) = command;
    let inputs = arguments.files.iter().map(|file| open(file)).collect::<Result<Vec<_>, _>>()?;
    let overlays = arguments
        .overlays
        .iter()
        .map(|(before, file)| Ok(DatedOverlay { before: *before, source: open(file)?.source }));
    let overlays = overlays.collect::<Result<Vec<_>, Exit>>()?;
    let uris = arguments.uris.iter().map(|(uri, file)| Ok((uri.clone(), open(file)?.source)));
    let uris = uris.collect::<Result<UriTable, Exit>>()?;

    let size = if arguments.together { inputs.len() } else { 1 };
    let contracts: Vec<Said> =
        inputs.chunks(size).map(|inputs| Said::of(inputs, &overlays, &uris)).collect();
    let count = |severity| {
        let notes = contracts.iter().flat_map(|it| &it.notes);
        notes.filter(|note| note.severity == severity).count()
    };
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let report = Report { contracts, errors, warnings };
    let text = match arguments.format {
        Format::Text => report.text(),
        Format::Json => {
            let json = serde_json::to_string_pretty(&report).context("the report as JSON")?;
            json + "\n"
        }
    };
    print(&text)?;
    if errors > 0 {
        return Err(Exit::Wrong(format!("{} in the documents", counted(errors, "error"))));
    }
    Ok(())
}

fn open(file: &Path) -> Result<Input, Exit> {
    Input::open(file)
        .map_err(|error| Exit::Unusable(format!("{} cannot be read: {error}", file.display())))
}

fn uri(text: &str) -> Result<(String, PathBuf), String> {
    // A file's name seldom has an equals sign, a URI's query often.
    let (uri, file) = text.rsplit_once('=').ok_or("URI=FILE is wanted")?;
    if !uri.contains(':') {
        return Err("URI=FILE is wanted, with a URI such as https://example.com/s.json".to_owned());
    }
    Ok((uri.to_owned(), file.into()))
}

fn overlay(text: &str) -> Result<(Date, PathBuf), String> {
    let (date, file) = text.split_once('=').ok_or("DATE=FILE is wanted")?;
    let date = date.parse().map_err(|_| "DATE=FILE is wanted, with a day such as 2026-09-21")?;
    Ok((date, file.into()))
}

fn counted(count: usize, what: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {what}{s}")
}

// === impl Said ===

impl Said {
    fn of(inputs: &[Input], overlays: &[DatedOverlay], uris: &UriTable) -> Self {
        let timeline = match Timeline::read(inputs, overlays, uris) {
            Ok(timeline) => timeline,
            Err(error) => return Self { notes: vec![Note::fatal(error)], ..Self::default() },
        };
        let head = timeline.at(ContractDate::Latest);
        let mut notes: Vec<Note> = timeline.notes().cloned().collect();
        notes.extend(head.oddities().iter().cloned());
        notes.extend(head.unverifiable_schemas());
        let before = |date: Date| {
            // The day before is the last of the old contract.
            let day = date.yesterday().unwrap_or(date);
            let operations = timeline.at(ContractDate::On(day)).operations().len();
            Past { before: date, operations }
        };
        Self {
            documents: head.summaries().to_vec(),
            dates: timeline.dates().map(before).collect(),
            notes,
        }
    }
}

// === impl Report ===

impl Report {
    fn text(&self) -> String {
        let mut text = String::new();
        for said in &self.contracts {
            for it in &said.documents {
                let name = if it.version == "2.0" { "Swagger" } else { "OpenAPI" };
                let mut parts =
                    vec![counted(it.operations, "operation"), counted(it.schemas, "schema")];
                if it.unreadable > 0 {
                    parts.push(format!("{} unreadable", counted(it.unreadable, "operation")));
                }
                if it.files > 0 {
                    parts.push(counted(it.files, "other file"));
                }
                let parts = parts.join(", ");
                // A `String` takes whatever is written to it.
                let _ = writeln!(text, "{}: {name} {}, {parts}", it.source, it.version);
            }
            for past in &said.dates {
                let operations = counted(past.operations, "operation");
                let _ = writeln!(text, "  before {}: {operations}", past.before);
            }
            for (index, note) in said.notes.iter().enumerate() {
                let _ = writeln!(text, "{note}");
                // Once behind notes in a row that have the same.
                let next = said.notes.get(index + 1).and_then(|next| next.hint);
                if let Some(hint) = note.hint.filter(|hint| next != Some(*hint)) {
                    let _ = writeln!(text, "  hint: {hint}");
                }
            }
        }
        let (errors, warnings) = (counted(self.errors, "error"), counted(self.warnings, "warning"));
        let _ = writeln!(text, "{errors}, {warnings}");
        text
    }
}
