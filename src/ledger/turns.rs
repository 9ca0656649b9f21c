//! Turns of conversations, and the intents that stand before and behind them.

use std::collections::{BTreeMap, HashMap};

use sqlx::any::AnyRow;
use uuid::Uuid;

use super::body::{self, IntentBody};
use super::command::{What, Write};
use super::store::{self, Statement, Store, StoreError, Value};
use crate::change::journal::{Later, OpenIntent, Standing};
use crate::limits::LEDGER_LATER;

/// How many turns of which conversations a transaction takes. In the keys' order, so that two
/// gateways cannot wait for one another.
pub(super) fn wanted(writes: &[Write]) -> BTreeMap<&str, u64> {
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    for write in writes {
        if let What::Begin(IntentBody { conversation: Some(key), .. }, _) = &write.what {
            *wanted.entry(key).or_default() += 1;
        }
    }
    wanted
}

/// Takes all turns of a transaction.
///
/// A conversation's first number is the time in seconds: its row may be removed with the records of
/// its time, and numbers that begin again must be greater than any before.
pub(super) fn take(wanted: &BTreeMap<&str, u64>, now: i64) -> Option<Statement> {
    if wanted.is_empty() {
        return None;
    }
    let first = now / 1_000_000;
    let mut insert =
        Statement::varying("INSERT INTO ledger_turns (conversation, fence, at) VALUES ");
    insert.rows(wanted, |(key, turns)| {
        let turns = i64::try_from(*turns).unwrap_or(i64::MAX);
        [Value::from(*key), Value::from(first.saturating_add(turns)), Value::from(now)]
    });
    insert.push(
        " ON CONFLICT (conversation) DO UPDATE SET at = excluded.at, \
         fence = ledger_turns.fence + excluded.fence - CAST(",
    );
    insert.bind(first);
    insert.push(" AS BIGINT) RETURNING conversation, fence");
    Some(insert)
}

/// The last number before a transaction's turns, by conversation.
pub(super) fn fences(
    taken: &[AnyRow],
    wanted: &BTreeMap<&str, u64>,
) -> Result<HashMap<String, u64>, StoreError> {
    let mut fences = HashMap::new();
    for row in taken {
        let (key, last) = (store::text(row, "conversation")?, store::natural(row, "fence")?);
        let turns = wanted.get(&*key).copied().unwrap_or(0);
        fences.insert(key, last.saturating_sub(turns));
    }
    Ok(fences)
}

/// The next number of a conversation.
pub(super) fn next(fences: &mut HashMap<String, u64>, key: &str) -> u64 {
    let fence = fences.entry(key.to_owned()).or_default();
    *fence += 1;
    *fence
}

/// The open intents of conversations, by fencing number.
pub(super) async fn open_on(
    store: &mut Store,
    keys: &[&str],
) -> Result<Vec<(String, OpenIntent)>, StoreError> {
    open_where(store, keys, None).await
}

/// The same without those that one process began.
pub(super) async fn open_where(
    store: &mut Store,
    keys: &[&str],
    without: Option<Uuid>,
) -> Result<Vec<(String, OpenIntent)>, StoreError> {
    let mut select = Statement::varying(
        "SELECT i.conversation, i.owner, i.chain, r.at, r.body FROM ledger_intents i \
         JOIN ledger_records r ON r.writer = i.chain AND r.seq = i.seq \
         WHERE i.state = 'open' AND i.conversation IN ",
    );
    select.tuple(keys.iter().map(|key| Value::from(*key)));
    if let Some(writer) = without {
        select.push(" AND i.chain <> ");
        select.bind(writer);
    }
    select.push(" ORDER BY i.fence");
    let mut open = Vec::new();
    for row in store.rows(select).await? {
        open.push((store::text(&row, "conversation")?, body::open_intent(&row)?));
    }
    Ok(open)
}

/// The newest intents of a conversation behind a turn, in their order, without those that came to
/// nothing.
pub(super) async fn since(
    store: &mut Store,
    key: &str,
    fence: u64,
) -> Result<Vec<Later>, StoreError> {
    let select = format!(
        "SELECT i.chain, i.state, r.at, r.body FROM ledger_intents i \
         JOIN ledger_records r ON r.writer = i.chain AND r.seq = i.seq \
         WHERE i.conversation = $1 AND i.fence > $2 AND i.state <> 'void' \
         ORDER BY i.fence DESC LIMIT {LEDGER_LATER}"
    );
    let select = Statement::lasting(select).with(key).with(fence);
    let mut later = Vec::new();
    for row in store.rows(select).await? {
        let body = body::intent(&row)?;
        later.push(Later {
            fence: body.fence.unwrap_or_default(),
            at: store::time(&row, "at")?,
            client: body.client,
            action: body.plan.action,
            begun_by: store::id(&row, "chain")?,
            standing: match &*store::text(&row, "state")? {
                "open" => Standing::Open,
                _ => Standing::Ended,
            },
        });
    }
    later.reverse();
    Ok(later)
}
