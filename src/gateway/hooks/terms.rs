//! On whose terms a trigger acts, and what is written down of it.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::change::journal::{Event, Record};
use crate::change::terms::{
    Authority, Fallback, LegacyAnswer, Policy, QueryBody, SecurePause, Terms,
};
use crate::contract::ContractDate;
use crate::gateway::worker::Worker;

/// The terms of a trigger's errand.
pub(super) fn terms(client: &str, deadline: Duration) -> Terms {
    Terms {
        client: Arc::from(client),
        as_of: ContractDate::Latest,
        deadline,
        secure_pause: SecurePause::Carry,
        fallback: Fallback::None,
        answer: LegacyAnswer::Minimal,
        confirm: None,
        authority: Authority::Caller,
        webex_query_body: QueryBody::Off,
        apply: Policy::Strict,
        revoke: Policy::Strict,
        choice: None,
    }
}

/// Writes down an event of a trigger's.
pub(super) fn note(worker: &Worker, client: &str, subject: &str, event: Event) {
    worker.site.lasting.journal.record(Record {
        exchange: Uuid::now_v7(),
        client: Arc::from(client),
        change: "trigger",
        event,
        subject: subject.to_owned(),
    });
}
