//! Deliveries, for those who look.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;

use crate::ledger::OpenError;
use crate::ledger::settings::Settings;
use crate::ledger::store::{self, Purpose, Statement, Store, StoreError};
use crate::limits::DELIVERIES_SHOWN;

/// Which deliveries to show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Filter {
    /// Only of this subscription.
    pub subscription: Option<String>,
    /// Only in this state.
    pub state: Option<State>,
}

/// What can be said of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// It is sent as soon as it is due.
    Pending,
    /// The target took it.
    Delivered,
    /// It is sent no more, unless somebody says so.
    Dead,
}

/// Deliveries, for those who look.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Shown {
    /// Subscriptions whose targets said that they are gone: nothing is sent to them.
    pub gone: Vec<Gone>,
    /// The newest that match, newest first.
    pub deliveries: Vec<Delivery>,
    /// Where one subscription was asked for and nothing was found: the names there are.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub subscriptions: BTreeSet<String>,
}

/// A subscription that sends nothing more.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Gone {
    /// Its name.
    pub subscription: String,
    /// Since when.
    pub since: Timestamp,
}

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Delivery {
    /// Its number: what `redrive` takes.
    pub id: i64,
    /// The event's id: what the receiver knows as `webhook-id`.
    pub event: String,
    /// The event's type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The subscription's name.
    pub subscription: String,
    /// What it came to.
    pub state: State,
    /// Tries that failed.
    pub failed: u64,
    /// What the last try came to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub last: String,
    /// When the event was written.
    pub created: Timestamp,
    /// When the next try is due, as far as is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// When it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
}

/// What waits for a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    /// Its name.
    pub subscription: String,
    /// How many.
    pub waiting: u64,
    /// When the oldest was written.
    pub oldest: Timestamp,
}

/// The deliveries of a ledger, beside a gateway that may be writing to it, where these subscriptions
/// are configured.
pub async fn of(
    settings: &Settings,
    filter: &Filter,
    configured: impl Iterator<Item = &str>,
) -> Result<Shown, OpenError> {
    let mut store = Store::open(&settings.place, Purpose::Read).await?;
    let shown = shown(&mut store, filter, configured).await?;
    store.close().await;
    Ok(shown)
}

/// Deliveries, where these subscriptions are configured.
pub(in crate::ledger) async fn shown(
    store: &mut Store,
    filter: &Filter,
    configured: impl Iterator<Item = &str>,
) -> Result<Shown, StoreError> {
    let since = Statement::new("SELECT subscription, since FROM ledger_gone ORDER BY subscription");
    let gone = store.rows(since).await?;
    let gone = gone.iter().map(|row| {
        Ok::<_, StoreError>(Gone {
            subscription: store::text(row, "subscription")?,
            since: moment(row, "since")?.unwrap_or_default(),
        })
    });
    let gone = gone.collect::<Result<_, _>>()?;
    let select = format!(
        "SELECT d.number, d.event, o.kind, d.subscription, d.state, d.failed, d.told, d.created, \
         d.due, d.ended FROM ledger_deliveries d JOIN ledger_outbox o ON o.id = d.event \
         WHERE ($1 = '' OR d.subscription = $1) AND ($2 = '' OR d.state = $2) \
         ORDER BY d.number DESC LIMIT {DELIVERIES_SHOWN}"
    );
    let state = filter.state.map_or("", State::as_str);
    let subscription = filter.subscription.as_deref().unwrap_or_default();
    let rows = store.rows(Statement::lasting(select).with(subscription).with(state)).await?;
    let deliveries = rows.iter().map(delivery).collect::<Result<Vec<_>, _>>()?;
    let mut subscriptions = BTreeSet::new();
    if filter.subscription.is_some() && deliveries.is_empty() {
        let names = "SELECT DISTINCT subscription FROM ledger_deliveries \
                     UNION SELECT subscription FROM ledger_gone";
        for row in store.rows(Statement::new(names)).await? {
            subscriptions.insert(store::text(&row, "subscription")?);
        }
        subscriptions.extend(configured.map(str::to_owned));
    }
    Ok(Shown { gone, deliveries, subscriptions })
}

fn delivery(row: &AnyRow) -> Result<Delivery, StoreError> {
    let state = State::of(&store::text(row, "state")?)?;
    Ok(Delivery {
        id: store::number(row, "number")?,
        event: store::text(row, "event")?,
        kind: store::text(row, "kind")?,
        subscription: store::text(row, "subscription")?,
        state,
        failed: store::natural(row, "failed")?,
        last: store::text(row, "told")?,
        created: store::time(row, "created")?,
        due: moment(row, "due")?.filter(|_| state == State::Pending),
        ended: moment(row, "ended")?,
    })
}

/// A time in milliseconds; 0 is none.
fn moment(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, StoreError> {
    match store::number(row, column)? {
        0 => Ok(None),
        ms => Timestamp::from_millisecond(ms)
            .map(Some)
            .map_err(|_| StoreError::Strange("a time that is none")),
    }
}

/// What waits, by subscription.
pub(in crate::ledger) async fn backlog(store: &mut Store) -> Result<Vec<Backlog>, StoreError> {
    let select = Statement::new(
        "SELECT subscription, COUNT(*) AS waiting, MIN(created) AS oldest FROM ledger_deliveries \
         WHERE state = 'pending' GROUP BY subscription",
    );
    store
        .rows(select)
        .await?
        .iter()
        .map(|row| {
            Ok(Backlog {
                subscription: store::text(row, "subscription")?,
                waiting: store::natural(row, "waiting")?,
                oldest: store::time(row, "oldest")?,
            })
        })
        .collect()
}

// === impl Shown ===

impl Shown {
    /// Whether there is a subscription of the name that was asked for.
    #[must_use]
    pub fn knows(&self, subscription: &str) -> bool {
        !self.deliveries.is_empty() || self.subscriptions.contains(subscription)
    }
}

// === impl State ===

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    fn of(text: &str) -> Result<Self, StoreError> {
        let all = [Self::Pending, Self::Delivered, Self::Dead];
        let found = all.into_iter().find(|state| state.as_str() == text);
        found.ok_or(StoreError::Strange("a delivery in no known state"))
    }
}
