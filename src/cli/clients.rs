//! `recgate clients`: who still uses what an announcement has left behind, out of the ledger or from
//! a running gateway's admin side.

use std::io::Write;

use anyhow::Context;
use clap::{Args, ValueEnum};
use http::{Method, Uri};

use super::{Exit, Settings, StandardOutput, asking, serve};
use crate::admin::clients::{Client, Inventory};
use crate::ledger;
use crate::ledger::settings::Place;

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  recgate clients                                  out of the ledger of the configuration
  recgate clients --config my.toml --format json
  recgate clients --admin http://127.0.0.1:9090    from a gateway that runs; needed where its ledger is in memory")]
pub(super) struct ClientsArguments {
    #[command(flatten)]
    settings: Settings,
    /// Ask the admin side of a running gateway.
    #[arg(long, value_name = "URL")]
    admin: Option<Uri>,
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

pub(super) fn run(arguments: &ClientsArguments) -> Result<(), Exit> {
    let runtime = serve::runtime()?;
    let inventory = if let Some(admin) = &arguments.admin {
        runtime.block_on(asking::ask(admin, &Method::GET, "/clients"))?
    } else {
        let config = arguments.settings.load()?;
        if config.ledger.place == Place::Memory {
            let why = "ledger.url is \"memory:\": such a ledger ends with its gateway; while that runs, ask it with --admin URL";
            return Err(Exit::Unusable(why.to_owned()));
        }
        let counted = runtime.block_on(ledger::inventory_of(&config.ledger));
        Inventory::of(counted.map_err(|error| Exit::Unusable(error.to_string()))?)
    };
    let mut out = std::io::stdout().lock();
    match arguments.format {
        Format::Json => {
            serde_json::to_writer_pretty(&mut out, &inventory).context(StandardOutput)?;
            writeln!(out).context(StandardOutput)?;
        }
        Format::Text => table(&mut out, &inventory).context(StandardOutput)?,
    }
    Ok(())
}

fn table(out: &mut impl Write, inventory: &Inventory) -> std::io::Result<()> {
    if inventory.clients.is_empty() {
        writeln!(out, "no client has used a legacy operation")?;
    }
    for client in &inventory.clients {
        head(out, client)?;
        for uses in &client.uses {
            let (first, last) = (day(uses.first_seen), day(uses.last_seen));
            let (change, operation) = (&uses.key.change, &uses.key.operation);
            writeln!(out, "  {:>8}  {first} to {last}  {change:<9} {operation}", uses.count)?;
            writeln!(out, "            {} upstream={}", uses.marks(), uses.key.upstream)?;
        }
    }
    if inventory.unread > 0 {
        writeln!(out, "{} entries of another version of recgate are not shown", inventory.unread)?;
    }
    Ok(())
}

fn head(out: &mut impl Write, client: &Client) -> std::io::Result<()> {
    let sdk = match client.sdks.join(", ") {
        none if none.is_empty() => String::new(),
        sdks => format!(", SDK {sdks}"),
    };
    writeln!(out, "{}: {} legacy calls{sdk}", client.client, client.count)?;
    let right = client.new_permission;
    if right.accepted + right.refused + right.untold > 0 {
        writeln!(
            out,
            "  new permission: accepted {}, refused {}, untold {}",
            right.accepted, right.refused, right.untold
        )?;
    }
    if client.shielded > 0 {
        writeln!(out, "  shielded from {} partial results", client.shielded)?;
    }
    Ok(())
}

fn day(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M").to_string()
}
