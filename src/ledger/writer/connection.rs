//! The writer's connection: opened, given up, and closed in order.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::{LIMIT, Writer, flat};
use crate::change::journal::{IntentId, Outcome};
use crate::ledger::command::{What, Write};
use crate::ledger::record::Head;
use crate::ledger::store::{Purpose, Store, StoreError};
use crate::ledger::{batch, enlist, inventory};
use crate::limits::LEDGER_BACKOFF_MS;

impl Writer {
    /// Whether the ledger can be used; tries to open it where it is time to.
    pub(super) async fn is_open(&mut self) -> bool {
        if self.store.is_some() {
            return true;
        }
        if Instant::now() < self.retry {
            return false;
        }
        match self.connect().await {
            Ok(()) => {
                tracing::info!("the ledger is open again");
                true
            }
            Err(error) => {
                self.lose(&error).await;
                false
            }
        }
    }

    /// Connects, finds the head of the chain, and settles what was left in doubt.
    pub(super) async fn connect(&mut self) -> Result<(), StoreError> {
        let opening = Store::open(&self.settings.place, Purpose::Write(self.chain.writer));
        let mut store = flat(timeout(LIMIT, opening).await)?;
        #[cfg(test)]
        {
            store.faults = self.faults.clone();
        }
        let head =
            flat(timeout(LIMIT, enlist::enlist(&mut store, &self.chain, &self.settings)).await)?;
        self.chain.head = head;
        if !self.in_doubt.is_empty() {
            let writes: Vec<Write> = self.in_doubt.iter().map(|id| unacknowledged(*id)).collect();
            let chain = self.chain.clone();
            let settled = async {
                store.begin().await?;
                let writes = enlist::still_open(&mut store, chain.writer, writes).await?;
                let written = batch::write(&mut store, &chain, &writes, &mut self.fan).await?;
                store.commit().await?;
                Ok(written.head)
            };
            self.chain.head = flat(timeout(LIMIT, settled).await)?;
            self.in_doubt.clear();
        }
        self.store = Some(store);
        self.backoff = Duration::ZERO;
        Ok(())
    }

    /// Gives the connection up until it is time to try again.
    pub(super) async fn lose(&mut self, error: &StoreError) {
        tracing::error!(%error, "the ledger cannot be written");
        if let StoreError::Replaced = error {
            // Our intents are another's now. What comes next stands in a chain of its own.
            self.chain.writer = Uuid::now_v7();
            self.chain.head = Head::NONE;
            self.in_doubt.clear();
        }
        // Closed in order, so that a transaction that hangs is over before the next one begins;
        // but not at the price of waiting for it.
        if let Some(store) = self.store.take() {
            let _ = timeout(Duration::from_millis(*LEDGER_BACKOFF_MS.start()), store.close()).await;
        }
        let (least, most) = (*LEDGER_BACKOFF_MS.start(), *LEDGER_BACKOFF_MS.end());
        let backoff = (self.backoff * 2).max(Duration::from_millis(least));
        self.backoff = backoff.min(Duration::from_millis(most));
        self.retry = Instant::now() + self.backoff;
    }

    /// Writes that this writer ends. Nothing is lost if it cannot: it will be taken for dead.
    pub(super) async fn end_in_place(&mut self) {
        let Some(mut store) = self.store.take() else { return };
        let ended = async {
            let (fan, calls) = (&mut self.fan, &mut self.calls);
            inventory::flush(&mut store, &mut self.uses, fan, calls).await?;
            enlist::end(&mut store, &self.chain).await
        };
        if let Err(error) = flat(timeout(LIMIT, ended).await) {
            tracing::warn!(%error, "the ledger could not be closed in order");
        }
        let _ = timeout(LIMIT, store.close()).await;
        self.lock = None;
    }

    pub(super) async fn end(mut self) {
        self.end_in_place().await;
    }
}

/// The outcome of an intent that was refused and is there.
fn unacknowledged(id: IntentId) -> Write {
    let (reply, _) = oneshot::channel();
    Write { what: What::Settle(id, Outcome::Unacknowledged, reply), events: Vec::new() }
}
