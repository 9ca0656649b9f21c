//! Deliveries: who may send which, and what became of it.
//!
//! A delivery that waits is `pending` and goes out when it is due, when nobody has claimed it, and
//! when it is the first in each of its lanes. One that is not the first is put off to when the
//! first may be done; the end of the first calls it back. So a look examines a bounded number of
//! rows however many wait, and nothing hangs on the call: without it, what was put off comes due by
//! itself. Times are the database's, in milliseconds, so that gateways with clocks of their own
//! agree on when a claim ends.

mod redrive;
mod shown;

use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyRow;

pub(super) use self::redrive::redrive;
pub use self::redrive::{Redrive, redrive_in};
pub use self::shown::{Backlog, Delivery, Filter, Gone, Shown, State, of};
pub(super) use self::shown::{backlog, shown};
use super::store::{self, Backend, Statement, Store, StoreError, Value};
use crate::hook::delivery::{Claimed, Fate, Report, Turn, Want};
use crate::limits::DELIVERIES_EXAMINED;

/// How soon a gateway looks again into a ledger that others write to.
const POLL: Duration = Duration::from_secs(1);
/// How soon to look again for what is due and was not found: it has come due since the look, or
/// another gateway has it for a moment.
const SOON: Duration = Duration::from_millis(5);

/// Writes down reports and claims what is due, in one transaction.
pub(super) async fn turn(
    store: &mut Store,
    reports: &[Report],
    wants: &[Want],
) -> Result<Turn, StoreError> {
    store.begin().await?;
    // In one order, so that two gateways do not wait for one another.
    let mut reports: Vec<&Report> = reports.iter().collect();
    reports.sort_unstable_by_key(|report| report.number);
    for report in reports {
        take_report(store, report).await?;
    }
    let mut turn = Turn::default();
    for want in wants {
        let next = claim(store, want, &mut turn.claimed).await?;
        turn.next = [turn.next, next].into_iter().flatten().min();
    }
    store.commit().await?;
    if store.backend == Backend::Postgres {
        turn.next = Some(turn.next.map_or(POLL, |next| next.min(POLL)));
    }
    Ok(turn)
}

async fn take_report(store: &mut Store, report: &Report) -> Result<(), StoreError> {
    let now = store.backend.now_ms();
    let words = match &report.fate {
        Fate::Delivered { status } => format!("status {status}"),
        Fate::Again { why, .. } | Fate::Dead { why } => why.to_string(),
        Fate::Gone { .. } => "status 410".to_owned(),
        Fate::Released => String::new(),
    };
    let (set, wait) = match &report.fate {
        Fate::Delivered { .. } => ("state = 'delivered', ended = {now} + $4", 0),
        Fate::Dead { .. } | Fate::Gone { .. } => {
            ("state = 'dead', failed = failed + 1, ended = {now} + $4", 0)
        }
        Fate::Again { after, .. } => {
            let after = i64::try_from(after.as_millis()).unwrap_or(i64::MAX / 4);
            ("failed = failed + 1, due = {now} + $4", after)
        }
        Fate::Released => ("due = {now} + $4", 0),
    };
    let update = format!(
        "UPDATE ledger_deliveries SET {}, told = CASE WHEN $3 = '' THEN told ELSE $3 END, \
         claimed_until = 0 WHERE number = $1 AND claim = $2 AND claimed_until <> 0 \
         AND state = 'pending'",
        set.replace("{now}", now)
    );
    let update = Statement::lasting(update);
    let update = update.with(report.number).with(report.claim).with(words).with(wait);
    if store.run(update).await? == 0 {
        // The claim had ended, and the delivery is another's or done.
        return Ok(());
    }
    match &report.fate {
        Fate::Delivered { .. } | Fate::Dead { .. } => leave_lanes(store, report.number).await,
        Fate::Gone { mark } => {
            leave_lanes(store, report.number).await?;
            let insert = format!(
                "INSERT INTO ledger_gone (subscription, mark, since) VALUES ($1, $2, {now}) \
                 ON CONFLICT (subscription) DO UPDATE SET mark = excluded.mark, since = excluded.since"
            );
            let insert = Statement::lasting(insert).with(&*report.subscription).with(&**mark);
            store.run(insert).await.map(drop)
        }
        Fate::Again { .. } | Fate::Released => Ok(()),
    }
}

/// Takes a delivery that has ended out of its lanes, and calls those behind it.
async fn leave_lanes(store: &mut Store, number: i64) -> Result<(), StoreError> {
    let call = Statement::new(
        "UPDATE ledger_deliveries SET due = 0 WHERE state = 'pending' AND number IN \
         (SELECT (SELECT n.delivery FROM ledger_lanes n WHERE n.subscription = l.subscription \
           AND n.about = l.about AND n.place > l.place ORDER BY n.place LIMIT 1) \
          FROM ledger_lanes l WHERE l.delivery = $1)",
    );
    store.run(call.with(number)).await?;
    let leave = Statement::new("DELETE FROM ledger_lanes WHERE delivery = $1");
    store.run(leave.with(number)).await.map(drop)
}

/// Claims for one subscription. Gives when to look again.
async fn claim(
    store: &mut Store,
    want: &Want,
    claimed: &mut Vec<Claimed>,
) -> Result<Option<Duration>, StoreError> {
    let now = store.backend.now_ms();
    let here = "d.subscription = $1 AND d.state = 'pending' AND NOT EXISTS (SELECT 1 FROM \
                ledger_gone g WHERE g.subscription = $1 AND g.mark = $2)";
    let free = store.backend.take_free();
    let due = format!(
        "SELECT d.number FROM ledger_deliveries d WHERE {here} AND d.due <= {now} \
         AND d.claimed_until <= {now} ORDER BY d.due, d.number LIMIT {DELIVERIES_EXAMINED}{free}"
    );
    let due = Statement::lasting(due).with(&*want.subscription).with(&*want.mark);
    let due: Vec<i64> = numbers(&store.rows(due).await?)?;
    let examined = due.len();
    let (mut ready, behind) = examine(store, &due).await?;
    let beyond = ready.len() > want.most;
    ready.truncate(want.most);
    let before = claimed.len();
    take(store, want, &ready, claimed).await?;
    put_off(store, want, &behind).await?;
    if beyond || claimed.len() - before == want.most {
        // The end of one of these is when to look again.
        return Ok(None);
    }
    if examined == DELIVERIES_EXAMINED {
        return Ok(Some(Duration::ZERO));
    }
    // The clock has gone on since the look: what has come due between the two counts as well, or
    // nothing would call for it.
    let next = format!(
        "SELECT COALESCE(MIN(d.due) - {now}, 0) AS wait, COUNT(*) AS found FROM \
         ledger_deliveries d WHERE {here} AND d.claimed_until <= {now}"
    );
    let next = Statement::lasting(next).with(&*want.subscription).with(&*want.mark);
    let rows = store.rows(next).await?;
    let Some(row) = rows.first().filter(|row| store::number(row, "found").is_ok_and(|it| it > 0))
    else {
        return Ok(None);
    };
    let wait = u64::try_from(store::number(row, "wait")?).unwrap_or(0);
    Ok(Some(if wait == 0 { SOON } else { Duration::from_millis(wait) }))
}

/// Tells those that are first in all of their lanes from those that are not, with when the last of
/// the first ones may be done.
async fn examine(
    store: &mut Store,
    due: &[i64],
) -> Result<(Vec<i64>, Vec<(i64, i64)>), StoreError> {
    let (mut ready, mut behind) = (Vec::new(), Vec::new());
    if due.is_empty() {
        return Ok((ready, behind));
    }
    let mut select = Statement::varying(
        "SELECT d.number, COALESCE((SELECT MAX(CASE WHEN h.claimed_until > h.due THEN \
         h.claimed_until ELSE h.due END) FROM ledger_lanes l JOIN ledger_deliveries h ON h.number = \
         (SELECT e.delivery FROM ledger_lanes e WHERE e.subscription = l.subscription \
          AND e.about = l.about ORDER BY e.place LIMIT 1) \
         WHERE l.delivery = d.number AND h.number <> d.number), -1) AS until \
         FROM ledger_deliveries d WHERE d.number IN ",
    );
    select.tuple(due.iter().map(|number| Value::from(*number)));
    select.push(" ORDER BY d.due, d.number");
    for row in store.rows(select).await? {
        let (number, until) = (store::number(&row, "number")?, store::number(&row, "until")?);
        match until {
            -1 => ready.push(number),
            until => behind.push((number, until)),
        }
    }
    Ok((ready, behind))
}

async fn take(
    store: &mut Store,
    want: &Want,
    ready: &[i64],
    claimed: &mut Vec<Claimed>,
) -> Result<(), StoreError> {
    if ready.is_empty() {
        return Ok(());
    }
    let lease = i64::try_from(want.lease.as_millis()).unwrap_or(i64::MAX / 4);
    let now = store.backend.now_ms();
    let mut update = Statement::varying(format!(
        "UPDATE ledger_deliveries SET claim = claim + 1, claimed_until = {now} + "
    ));
    update.bind(lease);
    update.push(" WHERE number IN ");
    update.tuple(ready.iter().map(|number| Value::from(*number)));
    update.push(
        " RETURNING number, claim, failed, event, (SELECT o.payload FROM ledger_outbox o \
         WHERE o.id = ledger_deliveries.event) AS payload",
    );
    for row in store.rows(update).await? {
        claimed.push(Claimed {
            number: store::number(&row, "number")?,
            claim: store::number(&row, "claim")?,
            event: store::text(&row, "event")?,
            subscription: Arc::clone(&want.subscription),
            payload: store::text(&row, "payload")?,
            failed: store::natural(&row, "failed")?,
        });
    }
    Ok(())
}

/// Puts off what is not the first, at least as long as a claim lasts.
async fn put_off(store: &mut Store, want: &Want, behind: &[(i64, i64)]) -> Result<(), StoreError> {
    if behind.is_empty() {
        return Ok(());
    }
    let lease = i64::try_from(want.lease.as_millis()).unwrap_or(i64::MAX / 4);
    let now = store.backend.now_ms();
    // When the first ones may be done, by number; one that is done later calls.
    let mut update = Statement::varying("WITH later (number, until) AS (VALUES ");
    update.rows(behind, |(number, until)| [Value::from(*number), Value::from(*until)]);
    update.push(&format!(
        ") UPDATE ledger_deliveries SET due = (SELECT CASE WHEN l.until > {now} + "
    ));
    update.bind(lease);
    update.push(&format!(" THEN l.until ELSE {now} + "));
    update.bind(lease);
    update.push(
        " END FROM later l WHERE l.number = ledger_deliveries.number) \
         WHERE number IN (SELECT number FROM later)",
    );
    store.run(update).await.map(drop)
}

/// Forgets all claims: for a ledger that no other process writes to.
pub(super) async fn release_all(store: &mut Store) -> Result<(), StoreError> {
    let release = Statement::new(
        "UPDATE ledger_deliveries SET claimed_until = 0 WHERE state = 'pending' AND claimed_until <> 0",
    );
    store.run(release).await.map(drop)
}

fn numbers(rows: &[AnyRow]) -> Result<Vec<i64>, StoreError> {
    rows.iter().map(|row| store::number(row, "number")).collect()
}
