//! The order of events about deletion protection, across the lanes that they are in.

use jiff::SignedDuration;
use sqlx::any::AnyRow;

use super::shelf::{PROTECTION, order_of};
use super::store::{self, Statement, Store, StoreError};
use crate::hook::protection::Book;
use crate::hook::shelf::{Lane, Standing, Waiting};
use crate::hook::trigger::{Order, window};
use crate::limits::TRIGGER_OLDER;

/// Where an event stands. Where more than [`TRIGGER_OLDER`] others would have to be looked at, it
/// waits, and a release counts as overtaken.
pub(super) async fn standing(
    store: &mut Store,
    lane: &Lane,
    event: &Waiting,
) -> Result<Standing, StoreError> {
    if is_under_way(store, lane, event).await? || is_older_waiting(store, lane, event).await? {
        return Ok(Standing::Behind);
    }
    let overtaken = matches!(event.order, Order::Revoke(_)) && is_held(store, lane, event).await?;
    Ok(if overtaken { Standing::Overtaken } else { Standing::Next })
}

/// Whether an event of another lane about one of the same conversations is under way.
async fn is_under_way(store: &mut Store, lane: &Lane, event: &Waiting) -> Result<bool, StoreError> {
    let under_way = Statement::new(
        "SELECT state FROM ledger_trigger_lanes \
         WHERE upstream = $1 AND lane <> $2 AND lane LIKE $3 AND state <> ''",
    );
    let under_way = under_way.with(&*lane.upstream).with(&*lane.key).with(PROTECTION);
    for row in store.rows(under_way).await? {
        let book = Book::read(Some(&store::text(&row, "state")?));
        if book.is_none_or(|book| book.concerns(&event.order)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an older one waits.
async fn is_older_waiting(
    store: &mut Store,
    lane: &Lane,
    event: &Waiting,
) -> Result<bool, StoreError> {
    let older = format!(
        "SELECT body FROM ledger_trigger_events WHERE state = 'waiting' AND upstream = $1 \
         AND lane <> $2 AND lane LIKE $3 AND (at < $4 OR (at = $4 AND (received < $5 \
         OR (received = $5 AND id < $6)))) ORDER BY at LIMIT {}",
        TRIGGER_OLDER + 1
    );
    let older = Statement::lasting(older)
        .with(&*lane.upstream)
        .with(&*lane.key)
        .with(PROTECTION)
        .with(event.at.as_microsecond())
        .with(event.received.as_microsecond())
        .with(event.id);
    any_meets(&store.rows(older).await?, &event.order)
}

/// Whether a newer protection of one of the same conversations has been done, in whichever lane.
async fn is_held(store: &mut Store, lane: &Lane, event: &Waiting) -> Result<bool, StoreError> {
    // It came no earlier than a window before its own time, and ended after that.
    let window = SignedDuration::try_from(window::WINDOW).unwrap_or_default();
    let since = event.at.checked_sub(window).unwrap_or(event.at);
    let newer = format!(
        "SELECT body FROM ledger_trigger_events WHERE state = 'settled' AND ended >= $1 \
         AND upstream = $2 AND lane LIKE $3 AND at > $4 \
         AND outcome NOT IN ('refused', 'not-sent', 'superseded') AND body LIKE $5 LIMIT {}",
        TRIGGER_OLDER + 1
    );
    let newer = Statement::lasting(newer)
        .with(since.as_microsecond())
        .with(&*lane.upstream)
        .with(PROTECTION)
        .with(event.at.as_microsecond())
        .with("%\"do\":\"protect\"%");
    any_meets(&store.rows(newer).await?, &event.order)
}

/// Whether one of these events is about one of the same conversations, or there are too many to know.
fn any_meets(rows: &[AnyRow], order: &Order) -> Result<bool, StoreError> {
    if rows.len() > TRIGGER_OLDER {
        return Ok(true);
    }
    for row in rows {
        if order_of(row)?.meets(order) {
            return Ok(true);
        }
    }
    Ok(false)
}
