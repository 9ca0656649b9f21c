//! `recgate hook deliveries` and `recgate hook redrive`.
//!
//! Looking needs nobody's leave: it reads beside the gateway. Sending again is written to the
//! ledger; where a running gateway has its file for itself, its admin side is asked to.

use std::io::Write;

use anyhow::Context;
use clap::Args;
use http::{Method, Uri};
use serde::Deserialize;

use super::{Exit, Settings, StandardOutput, asking, serve};
use crate::config::Config;
use crate::ledger::settings::Place;
use crate::ledger::{
    self, Deliveries, DeliveryFilter, DeliveryState, OpenError, Redrive, StoreError,
};

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  recgate hook deliveries                                 out of the ledger of the configuration
  recgate hook deliveries --subscription crm --state dead
  recgate hook deliveries --json | jq '.deliveries[].last'
  recgate hook deliveries --admin http://127.0.0.1:9090   from a gateway that runs; needed where its ledger is in memory")]
pub(super) struct DeliveriesArguments {
    #[command(flatten)]
    settings: Settings,
    /// Only of this subscription.
    #[arg(long, value_name = "NAME")]
    subscription: Option<String>,
    /// Only in this state.
    #[arg(long, value_enum)]
    state: Option<DeliveryState>,
    /// As one JSON object.
    #[arg(long)]
    json: bool,
    /// Ask the admin side of a running gateway.
    #[arg(long, value_name = "URL")]
    admin: Option<Uri>,
}

#[derive(Args, Debug)]
#[command(after_help = "Examples:
  recgate hook redrive 412                        one delivery, by the number that deliveries shows
  recgate hook redrive --dead                     every dead one
  recgate hook redrive --dead --subscription crm  those of one subscription, which is enabled, too

The webhook-id stays the same: a receiver that keeps ids may take it for one that it has already.")]
pub(super) struct RedriveArguments {
    /// The delivery's number.
    #[arg(value_name = "ID", required_unless_present = "dead", conflicts_with = "dead")]
    id: Option<i64>,
    /// All that are dead.
    #[arg(long)]
    dead: bool,
    /// Only of this subscription.
    #[arg(long, value_name = "NAME", requires = "dead")]
    subscription: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// Ask the admin side of a running gateway.
    #[arg(long, value_name = "URL")]
    admin: Option<Uri>,
}

/// An admin side's answer.
#[derive(Deserialize)]
struct Redriven {
    redriven: u64,
}

pub(super) fn list(arguments: &DeliveriesArguments) -> Result<(), Exit> {
    let runtime = serve::runtime()?;
    let filter =
        DeliveryFilter { subscription: arguments.subscription.clone(), state: arguments.state };
    let shown = if let Some(admin) = &arguments.admin {
        runtime.block_on(shown_by(admin, &filter))?
    } else {
        let config = arguments.settings.load()?;
        in_process(&config.ledger.place)?;
        runtime.block_on(shown_in(&config, &filter))?
    };
    known(&filter, &shown)?;
    let mut out = std::io::stdout().lock();
    if arguments.json {
        serde_json::to_writer_pretty(&mut out, &shown).context(StandardOutput)?;
        writeln!(out).context(StandardOutput)?;
    } else {
        table(&mut out, &shown).context(StandardOutput)?;
    }
    Ok(())
}

/// The deliveries that a gateway shows.
async fn shown_by(admin: &Uri, filter: &DeliveryFilter) -> Result<Deliveries, Exit> {
    let query = form(&[
        ("subscription", filter.subscription.as_deref()),
        ("state", filter.state.map(word)),
    ]);
    asking::ask(admin, &Method::GET, &format!("/hooks/deliveries{query}")).await
}

/// The deliveries in the ledger of a configuration.
async fn shown_in(config: &Config, filter: &DeliveryFilter) -> Result<Deliveries, Exit> {
    let configured = config.subscriptions.iter().map(|it| &*it.name);
    let shown = ledger::deliveries_of(&config.ledger, filter, configured).await;
    shown.map_err(|error| Exit::Unusable(error.to_string()))
}

/// Refuses a subscription of which nobody knows.
fn known(filter: &DeliveryFilter, shown: &Deliveries) -> Result<(), Exit> {
    let Some(name) = filter.subscription.as_ref().filter(|name| !shown.knows(name)) else {
        return Ok(());
    };
    let there: Vec<&str> = shown.subscriptions.iter().map(String::as_str).collect();
    let there = if there.is_empty() {
        "there is none".to_owned()
    } else {
        format!("there are: {}", there.join(", "))
    };
    Err(Exit::Wrong(format!("there is no subscription `{name}`; {there}")))
}

fn table(out: &mut impl Write, shown: &Deliveries) -> std::io::Result<()> {
    for gone in &shown.gone {
        let since = gone.since.strftime("%Y-%m-%d %H:%M:%S");
        writeln!(out, "{}: answered 410 at {since}, nothing is sent", gone.subscription)?;
    }
    if shown.deliveries.is_empty() {
        writeln!(out, "no deliveries")?;
    }
    for it in &shown.deliveries {
        let created = it.created.strftime("%Y-%m-%d %H:%M:%S");
        let due = match it.due {
            Some(due) => format!(", next {}", due.strftime("%Y-%m-%d %H:%M:%S")),
            None => String::new(),
        };
        let tries = if it.failed == 0 { String::new() } else { format!(", {} failed", it.failed) };
        let last = if it.last.is_empty() { String::new() } else { format!(", {}", it.last) };
        writeln!(
            out,
            "{:>6}  {created}  {:<9}  {:<16}  {:<28}  {}{last}{tries}{due}",
            it.id,
            word(it.state),
            it.subscription,
            it.kind,
            it.event
        )?;
    }
    Ok(())
}

pub(super) fn redrive(arguments: &RedriveArguments) -> Result<(), Exit> {
    let runtime = serve::runtime()?;
    let what = match arguments.id {
        Some(id) => Redrive::One(id),
        None => Redrive::Dead(arguments.subscription.clone()),
    };
    let again = if let Some(admin) = &arguments.admin {
        runtime.block_on(through(admin, &what))?
    } else {
        let config = arguments.settings.load()?;
        in_process(&config.ledger.place)?;
        runtime.block_on(redrive_in(&config, &what))?
    };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{again} sent again").context(StandardOutput)?;
    Ok(())
}

/// Sends again by way of the ledger, or of the gateway that has it for itself.
async fn redrive_in(config: &Config, what: &Redrive) -> Result<u64, Exit> {
    let filter = DeliveryFilter { subscription: subscription_of(what), state: None };
    let shown = shown_in(config, &filter).await?;
    known(&filter, &shown)?;
    match ledger::redrive_in(&config.ledger, what).await {
        Ok(0) if matches!(what, Redrive::One(_)) => Err(no_such(what, &shown)),
        Ok(again) => Ok(again),
        Err(OpenError::Store(StoreError::InUse(_))) => {
            let admin = format!("http://{}", config.admin).parse().context("admin.listen")?;
            through(&admin, what).await.map_err(|error| match error {
                Exit::Unusable(error) => Exit::Unusable(format!(
                    "a gateway has the ledger for itself, and its admin side cannot be asked ({error}): name it with --admin URL"
                )),
                wrong => wrong,
            })
        }
        Err(error) => Err(Exit::Unusable(error.to_string())),
    }
}

async fn through(admin: &Uri, what: &Redrive) -> Result<u64, Exit> {
    let filter = DeliveryFilter { subscription: subscription_of(what), state: None };
    let path = match what {
        Redrive::One(id) => format!("/hooks/deliveries/{id}/redrive"),
        Redrive::Dead(subscription) => {
            let query = form(&[("subscription", subscription.as_deref())]);
            format!("/hooks/deliveries/redrive{query}")
        }
    };
    if let Some(answer) = asking::find::<Redriven>(admin, &Method::POST, &path).await? {
        return Ok(answer.redriven);
    }
    let shown = shown_by(admin, &filter).await?;
    known(&filter, &shown)?;
    Err(no_such(what, &shown))
}

fn subscription_of(what: &Redrive) -> Option<String> {
    match what {
        Redrive::One(_) => None,
        Redrive::Dead(subscription) => subscription.clone(),
    }
}

/// That there is no delivery of this number, and which there are.
fn no_such(what: &Redrive, shown: &Deliveries) -> Exit {
    let asked = match what {
        Redrive::One(id) => format!("delivery {id}"),
        Redrive::Dead(_) => "such delivery".to_owned(),
    };
    let there = match shown.deliveries.first() {
        Some(newest) => format!("the newest is {}; recgate hook deliveries lists them", newest.id),
        None => "there are none".to_owned(),
    };
    Exit::Wrong(format!("there is no {asked}: {there}"))
}

/// Where a ledger ends with its gateway, only that gateway can be asked.
fn in_process(place: &Place) -> Result<(), Exit> {
    match place {
        Place::Memory => {
            let why = "ledger.url is \"memory:\": such a ledger ends with its gateway; while that runs, ask it with --admin URL";
            Err(Exit::Unusable(why.to_owned()))
        }
        Place::Sqlite(_) | Place::Postgres { .. } => Ok(()),
    }
}

/// A query of those that are given.
fn form(pairs: &[(&str, Option<&str>)]) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    match form.finish() {
        none if none.is_empty() => none,
        some => format!("?{some}"),
    }
}

const fn word(state: DeliveryState) -> &'static str {
    match state {
        DeliveryState::Pending => "pending",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead => "dead",
    }
}
