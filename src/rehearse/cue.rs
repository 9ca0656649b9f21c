//! One call in one lane, and what of two lanes differs and why.

use std::collections::BTreeMap;

use serde_json::Value;

use super::answer::{Answer, Shown};
use super::call::Call;
use super::compare::{Difference, Of, Outcome, differences};
use super::error::RehearseError;
use super::lane::Lane;
use super::report::{Cause, Judged};
use super::world::Fact;
use crate::change::announced::{Made, Seen};
use crate::gateway::recorded::Examiner;
use crate::gateway::recorded::placed::Placed;
use crate::report::outcome::Examined;

/// A call in its context.
pub(super) struct Cue<'a> {
    pub(super) call: &'a Call,
    pub(super) placed: &'a Placed,
}

/// What one lane made of a call.
pub(super) struct Played {
    pub(super) outcome: Outcome,
    pub(super) answer: Option<Answer>,
    pub(super) calls: Vec<Made>,
    pub(super) operation: String,
}

// === impl Cue ===

impl Cue<'_> {
    /// Plays the call in one lane; with a host, through the gateway.
    pub(super) async fn play(
        &self,
        lane: &mut Lane,
        host: Option<&str>,
        examiner: &Examiner,
    ) -> Result<Played, RehearseError> {
        let target = if host.is_some() { &self.placed.through } else { &self.placed.straight };
        lane.forget().await?;
        host.unwrap_or_default().clone_into(&mut lane.own.host);
        let answer = lane.send(&self.call.sent(target, host)).await;
        let calls = lane.calls(self.call.token()).await?;
        let world = lane.look().await?;
        let moved = lane.world.moved(&world);
        lane.world = world.clone();
        let (verdict, operation) = self.verdict(answer.as_ref(), examiner);
        let shown = answer
            .as_ref()
            .map_or_else(Shown::nothing, |answer| answer.shown(self.placed.dialect, &lane.own));
        Ok(Played { outcome: Outcome { shown, verdict, moved, world }, answer, calls, operation })
    }

    /// What the contract of the client's day says of an answer, and the operation's id.
    fn verdict(&self, answer: Option<&Answer>, examiner: &Examiner) -> (String, String) {
        let recorded = answer.map(Answer::recorded);
        let entry = self.call.entry(&self.placed.host, &self.placed.through, recorded);
        let Examined::Judged(judged) = examiner.examine(&entry) else {
            return ("not judged".to_owned(), String::new());
        };
        let verdict = match judged.hops[3] {
            // No contract of the vendor's speaks of recgate's own refusals.
            None => "recgate's own".to_owned(),
            Some(it) => match it.reason {
                Some(reason) => format!("{} ({reason})", it.verdict),
                None => it.verdict.to_owned(),
            },
        };
        (if answer.is_some() { verdict } else { "no answer".to_owned() }, judged.operation)
    }

    /// What the client sees otherwise, and what says so.
    pub(super) fn judge(
        &self,
        before: &Played,
        through: &Played,
        diverged: &BTreeMap<Fact, usize>,
    ) -> Vec<Judged> {
        let empty = http::HeaderMap::new();
        let body = through.answer.as_ref().and_then(Answer::json);
        let seen = Seen {
            straight: before.outcome.shown.status,
            status: through.outcome.shown.status,
            headers: through.answer.as_ref().map_or(&empty, |answer| &answer.headers),
            body: body.as_ref(),
            calls: &through.calls,
        };
        differences(&before.outcome, &through.outcome)
            .into_iter()
            .map(|difference| {
                let cause = self.cause(&difference, &seen, diverged);
                Judged { difference, cause }
            })
            .collect()
    }

    fn cause(
        &self,
        difference: &Difference,
        seen: &Seen<'_>,
        diverged: &BTreeMap<Fact, usize>,
    ) -> Cause {
        let announced = self.placed.announced.iter().find(|announced| {
            let covered = |aspect: &_| difference.of.is(*aspect) && announced.covers(*aspect, seen);
            announced.differs.iter().any(covered)
        });
        if let Some(announced) = announced {
            return Cause::Announced {
                by: announced.by,
                setting: announced.setting.clone(),
                why: announced.why,
            };
        }
        // A call that is answered with another status is never explained by an earlier one.
        let since = match &difference.of {
            Of::World { fact } => diverged.get(fact),
            Of::Body { .. } if seen.straight == seen.status => {
                diverged.iter().find(|(fact, _)| self.names(&fact.of)).map(|(_, since)| since)
            }
            _ => None,
        };
        since.map_or(Cause::Unannounced, |call| Cause::Follows { call: *call })
    }

    /// Whether the call is about this conversation or recording.
    fn names(&self, id: &str) -> bool {
        self.placed.straight.contains(id)
            || serde_json::from_slice::<Value>(&self.call.body)
                .is_ok_and(|body| body.to_string().contains(id))
    }
}

/// Why a recorded call tells nothing here: the vendor that was recorded knows its caller, or what
/// it is about, and the mock's world does not.
pub(super) fn unlike(call: &Call, before: &Played) -> Option<&'static str> {
    let recorded = call.recorded?;
    match before.outcome.shown.status {
        Some(401) if recorded != 401 => {
            Some("the mock's world knows nobody by its token: say who calls, --as NAME")
        }
        Some(404) if (200..300).contains(&recorded) => {
            Some("the mock's world has nothing of its id: describe yours, mock.world")
        }
        _ => None,
    }
}
