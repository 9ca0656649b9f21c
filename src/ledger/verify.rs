//! Whether a ledger is what was written.
//!
//! 1. **Chains.** Every record's hash is computed again, and each must continue the one before it.
//! 2. **Ends.** A start names the heads of the other chains, an adoption the end of the dead one, a
//!    checkpoint what was removed, an anchor (kept outside) the heads of its day: all of these
//!    records must be there, or below what a checkpoint says was removed.
//! 3. **What follows.** `ledger_intents`, `ledger_turns` and the names in `ledger_writers` are
//!    derived; they are held against the records.
//!
//! What it cannot see: the end of a chain that nothing names, where no anchor is kept; the outbox
//! and the inventory, which say what is to be done and what was counted; and signs of life.

mod tables;

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use uuid::Uuid;

use super::OpenError;
use super::body::{self, AdoptedBody, Claim, IntentBody, OutcomeBody, StartedBody};
use super::key::Key;
use super::prune::Floors;
use super::record::{GENESIS, Head, Kind, Record, hex};
use super::settings::Settings;
use super::store::{self, Purpose, Statement, Store, StoreError};
use crate::change::journal::IntentId;
use crate::limits::LEDGER_VERIFY_PAGE;

/// What a verification found.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// The chains, by writer.
    pub chains: BTreeMap<Uuid, ChainSeen>,
    /// The first thing that is broken.
    pub broken: Option<Broken>,
    /// How many are.
    pub faults: u64,
}

/// One chain.
#[derive(Clone, Copy, Debug)]
pub struct ChainSeen {
    /// Records that are there.
    pub records: u64,
    /// The last of the records that were removed by age; 0 where none was.
    pub removed: u64,
    /// The end.
    pub head: Head,
    first: u64,
    before: [u8; 32],
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The writer, as the database has it.
    pub writer: String,
    /// The record's number; 0 where none is meant.
    pub seq: i64,
    /// What is wrong.
    pub why: String,
}

/// The heads of all chains at one time, to be kept where the ledger's writers cannot reach it.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// When it was made.
    pub made: jiff::Timestamp,
    /// The heads.
    pub heads: Vec<Claim>,
}

/// Verifies a ledger, and holds it against an anchor.
pub async fn verify(settings: &Settings, anchor: Option<&Anchor>) -> Result<Verdict, OpenError> {
    let key = settings.existing_key()?;
    let mut store = Store::open(&settings.place, Purpose::Read).await?;
    store.begin_reading().await?;
    let mut check = Check::new(key);
    check.records(&mut store).await?;
    check.key();
    check.beginnings();
    let heads = anchor.map(|it| it.heads.clone()).unwrap_or_default();
    for head in heads {
        check.claim(head, "the anchor");
    }
    check.claims(&mut store).await?;
    check.intents(&mut store).await?;
    check.turns(&mut store).await?;
    check.writers(&mut store).await?;
    store.close().await;
    let Check { chains, broken, faults, .. } = check;
    Ok(Verdict { chains, broken, faults })
}

/// One verification.
struct Check {
    key: Key,
    chains: BTreeMap<Uuid, ChainSeen>,
    floors: Floors,
    /// What records say of other chains, and who says it first: every start names the heads of all
    /// chains, and most of them have long ended.
    claims: BTreeMap<(Uuid, u64, String), String>,
    instances: HashMap<Uuid, String>,
    /// Intents whose outcome has not been seen, with what their rows say.
    unsettled: HashMap<IntentId, (Uuid, u64, RowState)>,
    /// Outcomes whose intents have not been seen: of another's chain, or removed.
    settled: HashSet<IntentId>,
    broken: Option<Broken>,
    faults: u64,
}

/// Whose record is at fault, as text: what stands in the database may be no id.
struct Whose(String);

/// What the row of an intent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RowState {
    Open,
    Closed,
    Gone,
}

// === impl Anchor ===

impl Anchor {
    /// The heads of a ledger that was verified.
    #[must_use]
    pub fn of(verdict: &Verdict) -> Self {
        let heads = verdict.chains.iter().map(|(writer, chain)| Claim {
            writer: *writer,
            seq: chain.head.seq,
            hash: hex(&chain.head.hash),
        });
        Self { made: jiff::Timestamp::now(), heads: heads.collect() }
    }
}

// === impl Check ===

impl Check {
    fn new(key: Key) -> Self {
        Self {
            key,
            chains: BTreeMap::new(),
            floors: Floors::default(),
            claims: BTreeMap::new(),
            instances: HashMap::new(),
            unsettled: HashMap::new(),
            settled: HashSet::new(),
            broken: None,
            faults: 0,
        }
    }

    fn fault(&mut self, writer: impl Into<Whose>, seq: i64, why: impl Into<String>) {
        self.faults += 1;
        if self.broken.is_none() {
            self.broken = Some(Broken { writer: writer.into().0, seq, why: why.into() });
        }
    }

    /// Goes through all records, a page at a time.
    async fn records(&mut self, store: &mut Store) -> Result<(), StoreError> {
        // Read as bytes, so that what is no text any more can still be told from what is.
        let columns = ["writer", "kind", "body"].map(|it| store.backend.bytes_of(it));
        let [writer, kind, body] = columns;
        let page = format!(
            "SELECT {writer} AS writer, writer AS place, seq, at, {kind} AS kind, {body} AS body, \
             previous, hash FROM ledger_records WHERE (writer, seq) > ($1, $2) \
             ORDER BY writer, seq LIMIT {LEDGER_VERIFY_PAGE}"
        );
        let mut after = (String::new(), i64::MIN);
        loop {
            let select = Statement::lasting(page.clone()).with(&*after.0).with(after.1);
            let rows = store.rows(select).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = (store::text(last, "place")?, store::number(last, "seq")?);
            let mut intents = Vec::new();
            for row in &rows {
                if let Some(record) = self.record(row)
                    && let Some(intent) = self.said(&record)
                {
                    intents.push((record, intent));
                }
            }
            self.rows_of(store, intents).await?;
        }
    }

    /// Where no record at all is what was written, most likely the key is not.
    fn key(&mut self) {
        if self.chains.is_empty()
            && let Some(broken) = &mut self.broken
        {
            broken.why.push_str(", and neither is any other: this may not be the ledger's key");
        }
    }

    /// One record: is it genuine, and does it continue its chain?
    fn record(&mut self, row: &AnyRow) -> Option<Record> {
        let place = store::bytes(row, "writer").unwrap_or_default();
        let place = String::from_utf8_lossy(&place).into_owned();
        let number = store::number(row, "seq").unwrap_or_default();
        let record = match readable(row) {
            Ok(record) => record,
            Err(why) => {
                self.fault(place, number, why);
                return None;
            }
        };
        if record.writer.to_string() != place || !record.is_genuine(&self.key) {
            self.fault(place, number, "the record is not what was written");
            return None;
        }
        let new = ChainSeen {
            records: 0,
            removed: 0,
            head: record.head(),
            first: record.seq,
            before: record.previous,
        };
        let chain = self.chains.entry(record.writer).or_insert(new);
        let (head, continued) = (chain.head, chain.records > 0);
        chain.records += 1;
        chain.head = record.head();
        if continued && head.seq + 1 != record.seq {
            self.fault(place, number, format!("records after {} are missing", head.seq));
        } else if continued && head.hash != record.previous {
            self.fault(place, number, "it does not continue the record before it");
        }
        Some(record)
    }

    /// Takes in what a record says; gives an intent back.
    fn said(&mut self, record: &Record) -> Option<IntentBody> {
        let who = format!("record {} of {}", record.seq, record.writer);
        match &*record.kind {
            "started" => {
                let body: StartedBody = serde_json::from_str(&record.body).ok()?;
                self.instances.insert(record.writer, body.instance);
                body.heads.into_iter().for_each(|head| self.claim(head, &who));
            }
            "adopted" => {
                let body: AdoptedBody = serde_json::from_str(&record.body).ok()?;
                self.claim(body.head, &who);
            }
            "outcome" => {
                let body: OutcomeBody = serde_json::from_str(&record.body).ok()?;
                if body.effect == body::CLOSED {
                    match self.unsettled.remove(&body.intent) {
                        Some((writer, seq, RowState::Open)) => {
                            let why = "its intent is marked open, and has an outcome";
                            self.fault(writer, i64::try_from(seq).unwrap_or(i64::MAX), why);
                        }
                        Some(_) => {}
                        None => drop(self.settled.insert(body.intent)),
                    }
                }
            }
            "intent" => return serde_json::from_str(&record.body).ok(),
            kind if kind == Kind::Checkpoint.as_str() => self.floors.learn(record),
            _ => {}
        }
        None
    }

    fn claim(&mut self, head: Claim, who: &str) {
        let Claim { writer, seq, hash } = head;
        self.claims.entry((writer, seq, hash)).or_insert_with(|| who.to_owned());
    }

    /// A chain begins at its first record, or where a checkpoint says it was removed up to.
    fn beginnings(&mut self) {
        let mut faults = Vec::new();
        for (writer, chain) in &mut self.chains {
            let floor = self.floors.of(*writer);
            chain.removed = floor.map_or(0, |floor| floor.seq);
            let (first, before) = match floor {
                Some(floor) => (floor.seq + 1, floor.hash.clone()),
                None => (1, hex(&GENESIS)),
            };
            if chain.first != first || hex(&chain.before) != before {
                faults.push((*writer, chain.first, first));
            }
        }
        for (writer, found, wanted) in faults {
            let why = format!("the chain should begin with record {wanted}");
            self.fault(writer, i64::try_from(found).unwrap_or(i64::MAX), why);
        }
    }

    /// What was said of other chains must be so.
    async fn claims(&mut self, store: &mut Store) -> Result<(), StoreError> {
        for ((writer, seq, hash), who) in std::mem::take(&mut self.claims) {
            let claim = Claim { writer, seq, hash };
            let floor = self.floors.of(claim.writer);
            if floor.is_some_and(|floor| claim.seq < floor.seq || *floor == claim) {
                continue;
            }
            let select =
                Statement::new("SELECT hash FROM ledger_records WHERE writer = $1 AND seq = $2");
            let rows = store.rows(select.with(claim.writer).with(claim.seq)).await?;
            let found = rows.first().and_then(|row| store::bytes(row, "hash").ok());
            let seq = i64::try_from(claim.seq).unwrap_or(i64::MAX);
            match found {
                Some(hash) if hex(&hash) == claim.hash => {}
                Some(_) => {
                    self.fault(claim.writer, seq, format!("{who} names another hash for it"));
                }
                None => self.fault(claim.writer, seq, format!("it is missing, and {who} names it")),
            }
        }
        Ok(())
    }
}

// === impl Whose ===

impl From<Uuid> for Whose {
    fn from(writer: Uuid) -> Self {
        Self(writer.to_string())
    }
}

impl From<String> for Whose {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Whose {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A record out of its row, whatever somebody has made of it.
fn readable(row: &AnyRow) -> Result<Record, String> {
    let text = |column: &str| {
        let bytes = store::bytes(row, column).map_err(|_| format!("its {column} is unreadable"))?;
        String::from_utf8(bytes).map_err(|_| format!("its {column} is no text"))
    };
    Ok(Record {
        writer: text("writer")?.parse().map_err(|_| "its writer is no UUID")?,
        seq: store::natural(row, "seq").map_err(|_| "its number is none")?,
        at: store::number(row, "at").map_err(|_| "its time is none")?,
        kind: text("kind")?,
        body: text("body")?,
        previous: store::hash(row, "previous").map_err(|_| "its previous hash is none")?,
        hash: store::hash(row, "hash").map_err(|_| "its hash is none")?,
    })
}
