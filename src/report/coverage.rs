//! Coverage: which answers of a contract were seen, by operation × status × media type; which were
//! declared and never seen; which were seen and never declared.
//!
//! It is the client's side that is covered: the operation of the client's request in the contract
//! of the client's date, and the answer the client got. An answer that recgate made itself, a
//! refusal, is no answer of the API and is not counted; neither is an answer to HEAD, which shows
//! no media type.
//!
//! A contract's table is laid out once. To count an answer that was declared is a look into the
//! table and an addition; only what was not declared takes a lock, and all that is kept of it is
//! bounded.

mod shape;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http::{HeaderMap, Method, StatusCode, header};
use serde::Serialize;

use super::method_name;
use crate::contract::{Contract, ContractDate, DeclaredStatus, Operation, Timeline};
use crate::limits;

/// All tables of one gateway, or of one check.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    tables: Arc<Mutex<Vec<Arc<Table>>>>,
}

/// One contract of one upstream.
#[derive(Debug)]
pub struct Table {
    upstream: Arc<str>,
    holds: String,
    contract: Arc<Contract>,
    /// In the document's order.
    rows: Vec<Row>,
    /// An operation's address and its row, in the order of addresses. The contract above keeps these
    /// taken.
    places: Vec<(usize, usize)>,
    unknown: Mutex<Bounded<(&'static str, String)>>,
}

/// One operation.
#[derive(Debug)]
struct Row {
    operation: Arc<Operation>,
    exchanges: AtomicU64,
    /// Beside the operation's declared answers.
    cells: Vec<AtomicU64>,
    undeclared: Mutex<Bounded<(u16, Option<String>)>>,
}

/// Counts by key, at most so many keys.
#[derive(Debug)]
struct Bounded<K> {
    limit: usize,
    counts: BTreeMap<K, u64>,
    /// What found no room.
    more: u64,
}

/// Declared answers and how many of them were seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Operation × status × media type.
    pub declared: usize,
    /// Of these, seen at least once.
    pub seen: usize,
    /// Seen of declared; 100 where nothing is declared.
    pub percent: f64,
}

/// Everything that was covered, for those who look.
#[derive(Clone, Debug, Serialize)]
pub struct Shown {
    /// Over all contracts shown.
    pub totals: Totals,
    /// By upstream and contract.
    pub contracts: Vec<ShownContract>,
}

/// One contract of one upstream.
#[derive(Clone, Debug, Serialize)]
pub struct ShownContract {
    /// The upstream's name.
    pub upstream: Arc<str>,
    /// When this contract holds: `latest`, or `before 2026-09-21`.
    pub holds: String,
    /// Over its operations.
    pub totals: Totals,
    /// Exchanges, those with unknown operations included.
    pub exchanges: u64,
    /// In the document's order.
    pub operations: Vec<ShownOperation>,
    /// What was called and is not in the contract.
    pub unknown_operations: Vec<UnknownOperation>,
    /// Calls of unknown operations beyond those listed.
    pub unknown_more: u64,
}

/// One operation.
#[derive(Clone, Debug, Serialize)]
pub struct ShownOperation {
    /// Its id.
    pub operation: String,
    /// Its method.
    pub method: String,
    /// Its path template.
    pub path: String,
    /// How often it was answered.
    pub exchanges: u64,
    /// Its declared answers, those never seen with a count of 0.
    pub declared: Vec<DeclaredAnswer>,
    /// Answers it did not declare.
    pub undeclared: Vec<UndeclaredAnswer>,
    /// Undeclared answers beyond those listed.
    pub undeclared_more: u64,
}

/// A declared kind of answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeclaredAnswer {
    /// As the document writes it.
    pub status: DeclaredStatus,
    /// The media type or range; `None`: without a body.
    pub media_type: Option<String>,
    /// How often it was seen.
    pub count: u64,
}

/// A kind of answer that nobody declared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UndeclaredAnswer {
    /// The status.
    pub status: u16,
    /// The media type; `None`: there was none.
    pub media_type: Option<String>,
    /// How often it was seen.
    pub count: u64,
}

/// A call that the contract does not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnknownOperation {
    /// The method, or `other`.
    pub method: &'static str,
    /// The shape of the path: what may be a value is `{}`.
    pub path: String,
    /// How often.
    pub count: u64,
}

// === impl Coverage ===

impl Coverage {
    /// Lays out a table for each contract of an upstream. They are in no list yet.
    #[must_use]
    pub fn tables(upstream: &Arc<str>, timeline: &Timeline) -> Vec<Arc<Table>> {
        let past = timeline.dates().filter_map(|before| {
            let contract = timeline.at(ContractDate::On(before.yesterday().ok()?));
            Some((format!("before {before}"), contract))
        });
        let latest = ("latest".to_owned(), timeline.at(ContractDate::Latest));
        past.chain([latest])
            .map(|(holds, contract)| Arc::new(Table::new(Arc::clone(upstream), holds, contract)))
            .collect()
    }

    /// Lists tables behind those there are.
    pub fn add(&self, tables: &[Arc<Table>]) {
        let mut all = self.tables.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(tables.iter().map(Arc::clone));
    }

    /// Lists these tables and no other.
    pub fn replace(&self, tables: Vec<Arc<Table>>) {
        *self.tables.lock().unwrap_or_else(PoisonError::into_inner) = tables;
    }

    /// Every table, those without an exchange included.
    #[must_use]
    pub fn shown(&self) -> Shown {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Shown::of(tables.iter().map(|table| table.shown()).collect())
    }

    /// The tables that some exchange touched: what traffic did not concern is not counted.
    #[must_use]
    pub fn touched(&self) -> Shown {
        let mut shown = self.shown();
        shown.contracts.retain(|contract| contract.exchanges > 0);
        Shown::of(shown.contracts)
    }
}

// === impl Table ===

impl Table {
    fn new(upstream: Arc<str>, holds: String, contract: &Arc<Contract>) -> Self {
        let rows: Vec<Row> = contract.operations().iter().map(Row::new).collect();
        let places = rows.iter().enumerate().map(|(at, row)| (address(&row.operation), at));
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        let unknown = Mutex::new(Bounded::new(limits::UNKNOWN_OPERATIONS));
        Self { upstream, holds, contract: Arc::clone(contract), rows, places, unknown }
    }

    /// Whether this is the table of that contract.
    #[must_use]
    pub fn is_of(&self, contract: &Arc<Contract>) -> bool {
        Arc::ptr_eq(&self.contract, contract)
    }

    /// Counts an answer to a request of an operation. Does nothing for an operation of another
    /// contract.
    pub fn answered(
        &self,
        operation: &Arc<Operation>,
        method: &Method,
        status: StatusCode,
        headers: &HeaderMap,
    ) {
        let place = self.places.binary_search_by_key(&address(operation), |(address, _)| *address);
        let row = place.ok().and_then(|place| self.rows.get(self.places[place].1));
        let Some(row) = row else { return };
        row.exchanges.fetch_add(1, Ordering::Relaxed);
        if *method == Method::HEAD {
            return;
        }
        // RFC 9110 §6.4.1: such an answer has no body, whatever its headers say.
        let bodiless = matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let media_type = headers
            .get(header::CONTENT_TYPE)
            .filter(|_| !bodiless)
            .map(|value| value.to_str().unwrap_or_default());
        let declared = operation.declares(status, media_type).and_then(|cell| row.cells.get(cell));
        if let Some(cell) = declared {
            cell.fetch_add(1, Ordering::Relaxed);
        } else {
            let seen = media_type.map(shape::media_type);
            lock(&row.undeclared).count((status.as_u16(), seen));
        }
    }

    /// Counts a request of an operation that the contract does not have.
    pub fn unknown(&self, method: &Method, path: &str) {
        lock(&self.unknown).count((method_name(method), shape::path(path)));
    }

    fn shown(&self) -> ShownContract {
        let operations: Vec<ShownOperation> = self.rows.iter().map(Row::shown).collect();
        let unknown = lock(&self.unknown);
        let calls = unknown.counts.values().sum::<u64>() + unknown.more;
        let answers = operations.iter().flat_map(|it| &it.declared);
        ShownContract {
            upstream: Arc::clone(&self.upstream),
            holds: self.holds.clone(),
            totals: Totals::of(answers),
            exchanges: operations.iter().map(|it| it.exchanges).sum::<u64>() + calls,
            operations,
            unknown_operations: unknown
                .counts
                .iter()
                .map(|((method, path), count)| UnknownOperation {
                    method,
                    path: path.clone(),
                    count: *count,
                })
                .collect(),
            unknown_more: unknown.more,
        }
    }
}

/// What an operation that no contract knows is called: its method and the shape of its path.
#[must_use]
pub fn unknown_name(method: &Method, path: &str) -> String {
    format!("{} {}", method_name(method), shape::path(path))
}

fn address(operation: &Arc<Operation>) -> usize {
    Arc::as_ptr(operation).addr()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Row ===

impl Row {
    fn new(operation: &Arc<Operation>) -> Self {
        Self {
            operation: Arc::clone(operation),
            exchanges: AtomicU64::new(0),
            cells: operation.declared().iter().map(|_| AtomicU64::new(0)).collect(),
            undeclared: Mutex::new(Bounded::new(limits::UNDECLARED_ANSWERS)),
        }
    }

    fn shown(&self) -> ShownOperation {
        let declared = self.operation.declared().iter().zip(&self.cells);
        let undeclared = lock(&self.undeclared);
        ShownOperation {
            operation: self.operation.id().to_owned(),
            method: self.operation.method().to_string(),
            path: self.operation.template().to_owned(),
            exchanges: self.exchanges.load(Ordering::Relaxed),
            declared: declared
                .map(|(it, count)| DeclaredAnswer {
                    status: it.status,
                    media_type: it.media_type.clone(),
                    count: count.load(Ordering::Relaxed),
                })
                .collect(),
            undeclared: undeclared
                .counts
                .iter()
                .map(|((status, media_type), count)| UndeclaredAnswer {
                    status: *status,
                    media_type: media_type.clone(),
                    count: *count,
                })
                .collect(),
            undeclared_more: undeclared.more,
        }
    }
}

// === impl Bounded ===

impl<K: Ord> Bounded<K> {
    const fn new(limit: usize) -> Self {
        Self { limit, counts: BTreeMap::new(), more: 0 }
    }

    fn count(&mut self, key: K) {
        if let Some(count) = self.counts.get_mut(&key) {
            *count += 1;
        } else if self.counts.len() < self.limit {
            self.counts.insert(key, 1);
        } else {
            self.more += 1;
        }
    }
}

// === impl Shown ===

impl Shown {
    fn of(contracts: Vec<ShownContract>) -> Self {
        let answers = contracts
            .iter()
            .flat_map(|it| &it.operations)
            .flat_map(|operation| &operation.declared);
        Self { totals: Totals::of(answers), contracts }
    }
}

// === impl Totals ===

impl Totals {
    fn of<'a>(answers: impl Iterator<Item = &'a DeclaredAnswer>) -> Self {
        let (mut declared, mut seen) = (0, 0);
        for answer in answers {
            declared += 1;
            seen += usize::from(answer.count > 0);
        }
        // Whole hundredths, never rounded up: 100 means all.
        let percent = match (seen * 10_000).checked_div(declared) {
            Some(hundredths) => f64::from(u32::try_from(hundredths).unwrap_or(10_000)) / 100.0,
            None => 100.0,
        };
        Self { declared, seen, percent }
    }
}
