//! A command that a gateway left open when it ended.
//!
//! A pause is finished by the recovery account: sending it twice does no harm, and not sending it
//! may be card data on tape. It takes its turn like any other, so a newer command that comes
//! meanwhile waits for it. A resume is never finished: nobody knows whether it was carried out, and
//! nobody is waiting for it.

use std::rc::Rc;
use std::time::Duration;

use http::Method;
use tokio::time::Instant;

use super::command::{Command, Form, Wanted};
use super::flow::is_success;
use super::queue::Queues;
use crate::change::journal::{Action, Event, OpenIntent, Outcome};
use crate::change::retry::{self, IDEMPOTENT};
use crate::change::{Call, Exchange, Next, Principal};

/// How long it is tried.
const PATIENCE: Duration = Duration::from_mins(1);

/// Finishes a pause.
pub(super) async fn recover(
    queues: Queues,
    exchange: Rc<Exchange>,
    open: OpenIntent,
    next: Rc<dyn Next>,
) -> Outcome {
    let OpenIntent { plan, fence, .. } = open;
    let (Action::Pause, Some(conversation)) = (plan.action, plan.subjects.into_iter().next())
    else {
        return Outcome::Unknown;
    };
    let command = Command {
        form: if plan.medium.is_some() { Form::Put } else { Form::Agnostic },
        media: plan.medium.unwrap_or_default(),
        conversation,
        wanted: Wanted::Pause,
    };
    let turn = queues.enter(&exchange.upstream, &command.key(), Wanted::Pause);
    // It takes a place again. Where a later command has taken one since, that one decides.
    let key = Some(command.key());
    let Ok(place) = exchange.begin(&super::WEM_449, command.plan(), key).await else {
        return Outcome::Unknown;
    };
    let newest = place.place().map(|(_, place)| place.fence);
    if let (Some(left), Some(newest)) = (fence, newest)
        && newest > left + 1
    {
        exchange.settle(&place, Outcome::NotSent);
        return Outcome::Superseded;
    }
    let (method, path) = match command.form {
        Form::Put | Form::Legacy => (Method::PUT, command.put_path()),
        Form::Agnostic => (Method::PATCH, command.agnostic_path()),
    };
    let call = Call::bare()
        .derive(method, path, Some(command.wanted.body()))
        .acting_as(Principal::Recovery)
        .with_patience(PATIENCE / 6);
    exchange.record(&super::WEM_449, Event::Recovered, &command.conversation);
    let until = Instant::now() + PATIENCE;
    let tries = retry::call(&*next, &call, IDEMPOTENT, until, turn.cancelled()).await;
    let outcome = if is_success(&tries.last) { Outcome::Done } else { Outcome::Unknown };
    exchange.settle(&place, outcome.clone());
    outcome
}
