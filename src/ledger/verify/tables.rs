//! What follows from the records: the tables of intents, turns and writers.

use std::collections::{HashMap, HashSet};

use uuid::Uuid;

use super::{Check, RowState};
use crate::change::journal::IntentId;
use crate::ledger::body::IntentBody;
use crate::ledger::record::Record;
use crate::ledger::store::{self, Statement, Store, StoreError};

impl Check {
    /// Holds the rows of a page's intents against their records.
    pub(super) async fn rows_of(
        &mut self,
        store: &mut Store,
        intents: Vec<(Record, IntentBody)>,
    ) -> Result<(), StoreError> {
        if intents.is_empty() {
            return Ok(());
        }
        let mut select = Statement::varying(
            "SELECT id, chain, seq, conversation, fence, state FROM ledger_intents WHERE id IN ",
        );
        select.tuple(intents.iter().map(|(_, intent)| intent.id.0.into()));
        let mut found = HashMap::new();
        for row in store.rows(select).await? {
            if let Ok(id) = store::id(&row, "id") {
                found.insert(IntentId(id), row);
            }
        }
        for (record, intent) in intents {
            let seq = i64::try_from(record.seq).unwrap_or(i64::MAX);
            let state = match found.remove(&intent.id) {
                None => RowState::Gone,
                Some(row) => {
                    let state = store::text(&row, "state").unwrap_or_default();
                    let agrees = store::text(&row, "chain").ok() == Some(record.writer.to_string())
                        && store::number(&row, "seq").ok() == Some(seq)
                        && store::text(&row, "conversation").ok()
                            == Some(intent.conversation.unwrap_or_default())
                        && store::natural(&row, "fence").ok()
                            == Some(intent.fence.unwrap_or_default())
                        && matches!(&*state, "open" | "closed" | "void");
                    if !agrees {
                        self.fault(record.writer, seq, "its row in ledger_intents differs from it");
                    }
                    if state == "open" { RowState::Open } else { RowState::Closed }
                }
            };
            if self.settled.remove(&intent.id) {
                if state == RowState::Open {
                    let why = "its intent is marked open, and has an outcome";
                    self.fault(record.writer, seq, why);
                }
            } else {
                self.unsettled.insert(intent.id, (record.writer, record.seq, state));
            }
        }
        Ok(())
    }

    pub(super) async fn intents(&mut self, store: &mut Store) -> Result<(), StoreError> {
        // An outcome of the same page, or of an earlier chain, may have come before the row.
        let settled = std::mem::take(&mut self.settled);
        for (id, (writer, seq, state)) in std::mem::take(&mut self.unsettled) {
            let seq = i64::try_from(seq).unwrap_or(i64::MAX);
            match (settled.contains(&id), state) {
                (true, RowState::Closed | RowState::Gone) | (false, RowState::Open) => {}
                (true, RowState::Open) => {
                    self.fault(writer, seq, "its intent is marked open, and has an outcome");
                }
                (false, RowState::Closed) => {
                    self.fault(writer, seq, "its intent is marked closed, and has no outcome");
                }
                (false, RowState::Gone) => {
                    self.fault(writer, seq, "its row in ledger_intents is missing");
                }
            }
        }
        let strays = "SELECT i.chain, i.seq, i.id FROM ledger_intents i WHERE NOT EXISTS \
                      (SELECT 1 FROM ledger_records r WHERE r.writer = i.chain AND r.seq = i.seq)";
        for row in store.rows(Statement::new(strays)).await? {
            let (chain, seq) = (store::text(&row, "chain")?, store::number(&row, "seq")?);
            let floor = chain.parse().ok().and_then(|chain| self.floors.of(chain));
            if floor.is_none_or(|floor| seq > i64::try_from(floor.seq).unwrap_or(i64::MAX)) {
                self.fault(chain, seq, "a row of ledger_intents has no record");
            }
        }
        let owners = "SELECT i.chain, i.seq FROM ledger_intents i WHERE NOT EXISTS \
                      (SELECT 1 FROM ledger_writers w WHERE w.id = i.owner) AND i.state = 'open'";
        for row in store.rows(Statement::new(owners)).await? {
            let (chain, seq) = (store::text(&row, "chain")?, store::number(&row, "seq")?);
            self.fault(chain, seq, "its open intent belongs to nobody");
        }
        Ok(())
    }

    pub(super) async fn turns(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let behind = "SELECT i.conversation FROM ledger_intents i \
                      LEFT JOIN ledger_turns t ON t.conversation = i.conversation \
                      WHERE i.conversation <> '' \
                      AND (t.fence IS NULL OR t.fence < i.fence) LIMIT 1";
        for row in store.rows(Statement::new(behind)).await? {
            let conversation = store::text(&row, "conversation").unwrap_or_default();
            let why = format!("ledger_turns is behind the turns of {conversation}");
            self.fault("ledger_turns", 0, why);
        }
        Ok(())
    }

    pub(super) async fn writers(&mut self, store: &mut Store) -> Result<(), StoreError> {
        let all = Statement::new("SELECT id, instance FROM ledger_writers");
        let mut missing: HashSet<Uuid> = self.chains.keys().copied().collect();
        for row in store.rows(all).await? {
            let id = store::text(&row, "id").unwrap_or_default();
            let known = id.parse().ok().filter(|id| missing.remove(id));
            let said = known.and_then(|id: Uuid| self.instances.get(&id).cloned());
            let name = store::text(&row, "instance").unwrap_or_default();
            if known.is_none() && self.floors.claims().all(|it| it.writer.to_string() != id) {
                self.fault(id, 0, "ledger_writers names a writer without a chain");
            } else if said.is_some_and(|said| said != name) {
                self.fault(id, 1, "its row in ledger_writers has another name");
            }
        }
        for writer in missing {
            self.fault(writer, 0, "its row in ledger_writers is missing");
        }
        Ok(())
    }
}
