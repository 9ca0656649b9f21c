//! What clients use: counters that are merged in memory and written now and then.
//!
//! They are no record: a process that is killed loses the counts of its last second. What is
//! counted, and under which keys, is for who counts.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::OpenError;
use super::command::{Counted, Use};
use super::fan::Fan;
use super::settings::Settings;
use super::store::Purpose;
use super::store::{self, Statement, Store, StoreError, Value};
use super::told::{LEGACY_CALL, Told};
use crate::change::inventory::Usage;
use crate::limits::{LEDGER_DETAIL_BYTES, LEDGER_INVENTORY_PENDING, LEDGER_ROWS};

/// Uses that have not been written yet.
#[derive(Clone, Debug)]
pub(super) struct Uses {
    detail: String,
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

/// What was told of legacy operations on a day: a client's first use of each.
#[derive(Default)]
pub(super) struct Calls {
    day: Option<Date>,
    told: HashSet<Uuid>,
}

/// A use of a legacy operation as it is counted: what tells uses apart is the key, the version of
/// the client's SDK is its newest.
pub(super) fn once(usage: &Usage) -> Use {
    Use {
        client: usage.client.to_string(),
        key: usage.key(),
        detail: usage.detail(),
        at: Timestamp::now(),
    }
}

/// What the ledger of these settings has counted, beside a gateway that may be writing to it.
pub async fn of(settings: &Settings) -> Result<Vec<Counted>, OpenError> {
    let mut store = Store::open(&settings.place, Purpose::Read).await?;
    let counted = all(&mut store).await?;
    store.close().await;
    Ok(counted)
}

/// Adds one use.
pub(super) fn add(uses: &mut HashMap<(String, String), Uses>, once: Use) {
    let detail = Some(once.detail.to_string()).filter(|it| it.len() <= LEDGER_DETAIL_BYTES);
    let detail = detail.unwrap_or_else(|| "{}".to_owned());
    let new = Uses { detail: String::new(), first: once.at, last: once.at, count: 0 };
    let merged = uses.entry((once.client, once.key)).or_insert(new);
    merged.first = merged.first.min(once.at);
    if merged.count == 0 || once.at >= merged.last {
        merged.detail = detail;
        merged.last = once.at;
    }
    merged.count += 1;
}

/// Writes all of them. After an error they are still there; a commit of unknown outcome may then
/// count them twice.
pub(super) async fn flush(
    store: &mut Store,
    uses: &mut HashMap<(String, String), Uses>,
    fan: &mut Fan,
    calls: &mut Calls,
) -> Result<(), StoreError> {
    if uses.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<_> = uses.iter().collect();
    // In one order, so that two gateways cannot wait for one another.
    sorted.sort_unstable_by_key(|(key, _)| *key);
    store.begin().await?;
    for sorted in sorted.chunks(LEDGER_ROWS) {
        let mut upsert = Statement::varying(
            "INSERT INTO ledger_inventory (client, key, detail, first_seen, last_seen, count) VALUES ",
        );
        upsert.rows(sorted, |((client, key), uses)| {
            [
                Value::from(&**client),
                Value::from(&**key),
                Value::from(&*uses.detail),
                Value::from(uses.first.as_microsecond()),
                Value::from(uses.last.as_microsecond()),
                Value::from(uses.count),
            ]
        });
        upsert.push(
            " ON CONFLICT (client, key) DO UPDATE SET \
             detail = CASE WHEN excluded.last_seen >= ledger_inventory.last_seen \
               THEN excluded.detail ELSE ledger_inventory.detail END, \
             first_seen = CASE WHEN excluded.first_seen < ledger_inventory.first_seen \
               THEN excluded.first_seen ELSE ledger_inventory.first_seen END, \
             last_seen = CASE WHEN excluded.last_seen > ledger_inventory.last_seen \
               THEN excluded.last_seen ELSE ledger_inventory.last_seen END, \
             count = ledger_inventory.count + excluded.count",
        );
        store.run(upsert).await?;
    }
    let told = if fan.is_wanted(LEGACY_CALL) { calls.first_of(&sorted) } else { Vec::new() };
    let ids: Vec<Uuid> = told.iter().map(|it| it.id).collect();
    let deliveries = fan.queue(store, told, Timestamp::now().as_microsecond()).await?;
    store.commit().await?;
    calls.told.extend(ids);
    if deliveries > 0 {
        fan.written.notify_one();
    }
    uses.clear();
    Ok(())
}

// === impl Calls ===

impl Calls {
    /// The first uses of their days, as far as is known here; the outbox knows for certain.
    fn first_of(&mut self, uses: &[(&(String, String), &Uses)]) -> Vec<Told> {
        let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
        if self.day != Some(today) || self.told.len() >= LEDGER_INVENTORY_PENDING {
            *self = Self { day: Some(today), told: HashSet::new() };
        }
        let told = uses.iter().filter_map(|((client, key), uses)| {
            Told::of_use(client, key, uses.last.to_zoned(TimeZone::UTC).date())
        });
        told.filter(|it| !self.told.contains(&it.id)).collect()
    }
}

/// Everything that was counted, by client and key.
pub(super) async fn all(store: &mut Store) -> Result<Vec<Counted>, StoreError> {
    let select = Statement::new(
        "SELECT client, key, detail, first_seen, last_seen, count FROM ledger_inventory \
         ORDER BY client, key",
    );
    let mut all = Vec::new();
    store
        .each(select, |row| {
            all.push(Counted {
                client: store::text(&row, "client")?,
                key: store::text(&row, "key")?,
                detail: serde_json::from_str(&store::text(&row, "detail")?).unwrap_or_default(),
                first_seen: store::time(&row, "first_seen")?,
                last_seen: store::time(&row, "last_seen")?,
                count: store::natural(&row, "count")?,
            });
            Ok(())
        })
        .await?;
    Ok(all)
}
