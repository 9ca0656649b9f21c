//! A store that fails when a test says so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use super::store::StoreError;

/// What fails, until it is told otherwise.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<AtomicU8>, Arc<AtomicUsize>);

/// The ways to fail.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// None.
    None,
    /// Every statement.
    Statement,
    /// The commit, before it happens.
    Commit,
    /// The word about the commit, after it has happened.
    Answer,
    /// Once: the word about the commit.
    AnswerOnce,
    /// Every statement, by never ending.
    Hang,
}

impl Faults {
    pub(super) fn set(&self, fault: Fault) {
        self.0.store(fault as u8, Ordering::SeqCst);
    }

    pub(super) async fn on_statement(&self) -> Result<(), StoreError> {
        if self.fails(Fault::Hang).is_err() {
            self.1.fetch_add(1, Ordering::SeqCst);
            std::future::pending::<()>().await;
        }
        self.fails(Fault::Statement)
    }

    /// Statements that never ended.
    pub(super) fn hanging(&self) -> usize {
        self.1.load(Ordering::SeqCst)
    }

    pub(super) fn before_commit(&self) -> Result<(), StoreError> {
        self.fails(Fault::Commit)
    }

    pub(super) fn after_commit(&self) -> Result<(), StoreError> {
        self.fails(Fault::Answer)?;
        if self.fails(Fault::AnswerOnce).is_err() {
            self.set(Fault::None);
            return Err(failure());
        }
        Ok(())
    }

    fn fails(&self, fault: Fault) -> Result<(), StoreError> {
        if self.0.load(Ordering::SeqCst) == fault as u8 { Err(failure()) } else { Ok(()) }
    }
}

fn failure() -> StoreError {
    let error = std::io::Error::other("a test says so");
    StoreError::File { path: "ledger".to_owned(), error }
}
