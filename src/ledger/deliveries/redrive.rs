//! Deliveries that are sent again because somebody says so.

use uuid::Uuid;

use crate::ledger::OpenError;
use crate::ledger::fan::{enter_lanes, take_turns};
use crate::ledger::settings::{Place, Settings};
use crate::ledger::store::{self, Purpose, Statement, Store, StoreError, sqlite};
use crate::limits::DELIVERIES_REDRIVEN;

/// Which deliveries to send again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redrive {
    /// This one, whatever became of it.
    One(i64),
    /// The dead ones, of a subscription or of all.
    Dead(Option<String>),
}

/// Sends again, in a ledger that no gateway has for itself. Gives how many.
pub async fn redrive_in(settings: &Settings, what: &Redrive) -> Result<u64, OpenError> {
    // One that is there and of this version: a command makes and changes no ledger.
    Store::open(&settings.place, Purpose::Read).await?.close().await;
    let lock = match &settings.place {
        Place::Sqlite(path) => Some(sqlite::take(path)?),
        Place::Memory | Place::Postgres { .. } => None,
    };
    let mut store = Store::open(&settings.place, Purpose::Write(Uuid::now_v7())).await?;
    let again = redrive(&mut store, what).await?;
    store.close().await;
    drop(lock);
    Ok(again)
}

/// Makes deliveries due again, from the first try on, and their subscriptions send again. Each goes
/// behind what waits for its conversation by now. Gives how many.
pub(in crate::ledger) async fn redrive(
    store: &mut Store,
    what: &Redrive,
) -> Result<u64, StoreError> {
    store.begin().await?;
    let columns = "SELECT d.number, d.subscription, o.about FROM ledger_deliveries d \
                   JOIN ledger_outbox o ON o.id = d.event";
    let select = match what {
        Redrive::One(number) => {
            Statement::lasting(format!("{columns} WHERE d.number = $1")).with(*number)
        }
        Redrive::Dead(subscription) => Statement::lasting(format!(
            "{columns} WHERE d.state = 'dead' AND ($1 = '' OR d.subscription = $1) \
             ORDER BY d.number LIMIT {DELIVERIES_REDRIVEN}"
        ))
        .with(subscription.as_deref().unwrap_or_default()),
    };
    let found = store.rows(select).await?;
    let about: Vec<String> =
        found.iter().map(|row| store::text(row, "about")).collect::<Result<_, _>>()?;
    take_turns(store, about.iter().flat_map(|about| about.split(' '))).await?;
    for row in &found {
        let (number, subscription) =
            (store::number(row, "number")?, store::text(row, "subscription")?);
        let known = Statement::new("DELETE FROM ledger_gone WHERE subscription = $1");
        store.run(known.with(&*subscription)).await?;
        // One that waits has its places, and maybe somebody who is sending it.
        let soon = Statement::new(
            "UPDATE ledger_deliveries SET due = 0, failed = 0 WHERE number = $1 AND state = 'pending'",
        );
        if store.run(soon.with(number)).await? > 0 {
            continue;
        }
        let again = Statement::new(
            "UPDATE ledger_deliveries SET state = 'pending', failed = 0, due = 0, \
             claim = claim + 1, claimed_until = 0, ended = 0 WHERE number = $1",
        );
        store.run(again.with(number)).await?;
        let about = store::text(row, "about")?;
        let about = about.split(' ').filter(|about| !about.is_empty());
        let lanes: Vec<_> = about.map(|about| (&*subscription, about, number)).collect();
        enter_lanes(store, &lanes).await?;
    }
    if let Redrive::Dead(Some(subscription)) = what {
        // It may have been disabled before anything of it died.
        let known = Statement::new("DELETE FROM ledger_gone WHERE subscription = $1");
        store.run(known.with(&**subscription)).await?;
    }
    store.commit().await?;
    Ok(found.len() as u64)
}
