//! `recgate changes`: what happened to the APIs, and what of it applies to whom.

use std::io::Write;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Exit, Settings, StandardOutput};
use crate::change::terms::Terms;
use crate::change::{Announcement, Registry};
use crate::config::Config;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  recgate changes                          the registry, and what the built-in configuration makes of it
  recgate changes --config my.toml         the same for your clients
  recgate changes --format json            for a program
  recgate changes --set default_client.as_of=latest    what would be if")]
pub(super) struct ChangesArguments {
    #[command(flatten)]
    settings: Settings,
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

/// Everything.
#[derive(Serialize)]
struct Said {
    changes: Vec<Change>,
    clients: Vec<Client>,
}

#[derive(Serialize)]
struct Change {
    id: &'static str,
    date: Option<String>,
    vendor: String,
    title: &'static str,
    operations: &'static [&'static str],
    legacy: Option<&'static str>,
}

#[derive(Serialize)]
struct Client {
    name: String,
    /// How it is known; nothing for everybody else.
    known_by: Option<String>,
    as_of: String,
    as_of_header: Option<String>,
    /// By change: keys and values as the configuration spells them.
    changes: Map<String, Value>,
}

pub(super) fn run(arguments: &ChangesArguments) -> Result<(), Exit> {
    let said = Said::of(&arguments.settings.load()?);
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &said).context(StandardOutput)?;
            writeln!(out).context(StandardOutput)?;
        }
        Format::Text => said.text(&mut out).context(StandardOutput)?,
    }
    Ok(())
}

// === impl Said ===

impl Said {
    fn of(config: &Config) -> Self {
        let registry = Registry::whole();
        let clients = config.clients.iter().map(|(by, terms)| (Some(by.to_string()), &**terms));
        let all = clients.chain([(None, &*config.default_client)]);
        Self {
            changes: registry.iter().map(|it| Change::of(it.announcement())).collect(),
            clients: all.map(|(by, terms)| Client::of(by, terms, &registry)).collect(),
        }
    }

    fn text(&self, out: &mut impl Write) -> std::io::Result<()> {
        for change in &self.changes {
            let date = change.date.as_deref().unwrap_or("no day");
            writeln!(out, "{date:<10}  {:<12}  {:<7}  {}", change.id, change.vendor, change.title)?;
            for operation in change.operations {
                let legacy = if change.legacy == Some(operation) { "   (legacy)" } else { "" };
                writeln!(out, "            {operation}{legacy}")?;
            }
        }
        for client in &self.clients {
            let known_by = client.known_by.as_deref().unwrap_or("everybody else");
            let choice = match &client.as_of_header {
                Some(header) => format!(", or as the header {header} says"),
                None => String::new(),
            };
            writeln!(out, "\n{} ({known_by}): as of {}{choice}", client.name, client.as_of)?;
            for (change, settings) in &client.changes {
                let settings = settings.as_object().into_iter().flatten();
                let settings: Vec<String> = settings
                    .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
                    .collect();
                writeln!(out, "  {change:<12}  {}", settings.join(" "))?;
            }
        }
        Ok(())
    }
}

// === impl Change ===

impl Change {
    fn of(announcement: &Announcement) -> Self {
        Self {
            id: announcement.id,
            date: announcement.date.map(|date| date.to_string()),
            vendor: crate::change::terms::word(announcement.dialect),
            title: announcement.title,
            operations: announcement.operations,
            legacy: announcement.legacy,
        }
    }
}

// === impl Client ===

impl Client {
    fn of(known_by: Option<String>, terms: &Terms, registry: &Registry) -> Self {
        let changes = registry.iter().map(|change| {
            let settings = change.settings(terms).into_iter();
            let settings: Map<String, Value> =
                settings.map(|(key, value)| (key.to_owned(), Value::String(value))).collect();
            (change.announcement().id.to_owned(), Value::Object(settings))
        });
        Self {
            name: terms.client.to_string(),
            known_by,
            as_of: terms.as_of.to_string(),
            as_of_header: terms.choice.as_ref().map(|it| it.header.to_string()),
            changes: changes.collect(),
        }
    }
}
