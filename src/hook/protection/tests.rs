//! Protection by triggers on a paused clock: what is sent, how often, and what is kept of it when.

#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jiff::Timestamp;
use rstest::rstest;
use uuid::Uuid;

use super::{Book, Lost, Sent, Step, World, key, settle};
use crate::hook::shelf::{Held, Outcome, Standing, Unkept, Waiting};
use crate::hook::trigger::Order;
use crate::hook::trigger::payload::Asked;

/// A vendor and a ledger that answer what they are told to.
#[derive(Default)]
struct Scene {
    answers: RefCell<VecDeque<Sent>>,
    /// A send that is never answered: the process ends in it.
    ends_in: Cell<Option<usize>>,
    stands: Cell<Option<Standing>>,
    /// Saves that the ledger refuses, before it takes one again.
    away: Cell<usize>,
    lost: Cell<bool>,
    sent: RefCell<Vec<Uuid>>,
    saved: RefCell<Vec<Step>>,
    alarms: RefCell<Vec<Outcome>>,
}

impl World for Scene {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn standing(&self, _: &Waiting) -> LocalBoxFuture<'static, Result<Standing, Unkept>> {
        Box::pin(std::future::ready(Ok(self.stands.get().unwrap_or(Standing::Next))))
    }

    fn send(&self, event: &Waiting) -> LocalBoxFuture<'static, Sent> {
        self.sent.borrow_mut().push(event.id);
        if self.ends_in.get() == Some(self.sent.borrow().len()) {
            return Box::pin(std::future::pending());
        }
        let answer = self.answers.borrow_mut().pop_front().unwrap_or(Sent::Done);
        Box::pin(std::future::ready(answer))
    }

    fn save(&self, step: Step) -> LocalBoxFuture<'static, Result<Held, Unkept>> {
        let away = self.away.get();
        self.away.set(away.saturating_sub(1));
        let saved = match () {
            () if self.lost.get() => Ok(Held::Lost),
            () if away > 0 => Err(Unkept),
            () => {
                self.saved.borrow_mut().push(step);
                Ok(Held::Ours)
            }
        };
        Box::pin(std::future::ready(saved))
    }

    fn alarm(&self, _: &Waiting, outcome: Outcome) {
        self.alarms.borrow_mut().push(outcome);
    }
}

impl Scene {
    fn answering(answers: &[Sent]) -> Self {
        let scene = Self::default();
        scene.answers.borrow_mut().extend(answers);
        scene
    }

    fn outcomes(&self) -> Vec<(Uuid, Outcome)> {
        let saved = self.saved.borrow();
        saved.iter().filter_map(|it| it.settled.as_ref()).map(|it| (it.id, it.outcome)).collect()
    }

    /// What a process would find that begins now.
    fn kept(&self) -> Book {
        let saved = self.saved.borrow();
        let text = saved.last().and_then(|it| it.book.written());
        Book::read(text.as_deref()).unwrap()
    }
}

fn event(order: fn(Asked) -> Order) -> Waiting {
    let asked = Asked { trigger: "legal".to_owned(), conversations: vec!["c1".to_owned()] };
    let (at, received) = (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    Waiting { id: Uuid::new_v4(), at, received, order: order(asked) }
}

/// A crash in the second leaves the first's outcome, and the second under way.
#[tokio::test(start_paused = true)]
async fn outcomes_are_kept_one_by_one() {
    let (scene, first, second) = (Scene::default(), event(Order::Revoke), event(Order::Revoke));
    scene.ends_in.set(Some(2));
    let waiting = vec![first.clone(), second.clone()];
    assert_eq!(settle(Book::default(), waiting, &scene).now_or_never(), None);
    assert_eq!(scene.outcomes(), [(first.id, Outcome::Released)]);
    assert_eq!(scene.kept().under_way, Some(second.clone()));
    let begun: Vec<Uuid> = scene.saved.borrow().iter().filter_map(|it| it.begun).collect();
    assert_eq!(begun, [first.id, second.id], "each is begun before it is sent");
}

#[tokio::test(start_paused = true)]
async fn a_release_that_was_interrupted_is_unknown_and_never_sent_again() {
    let (scene, event) = (Scene::default(), event(Order::Revoke));
    let book = Book { under_way: Some(event.clone()) };
    assert_eq!(settle(book, Vec::new(), &scene).await, Ok(None));
    assert!(scene.sent.borrow().is_empty());
    assert_eq!(scene.outcomes(), [(event.id, Outcome::Unknown)]);
    assert_eq!(*scene.alarms.borrow(), [Outcome::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn a_protection_that_was_interrupted_is_sent_again() {
    let (scene, event) = (Scene::default(), event(Order::Protect));
    let book = Book { under_way: Some(event.clone()) };
    // However it was kept: it is done once more, and not twice.
    assert_eq!(settle(book, vec![event.clone()], &scene).await, Ok(None));
    assert_eq!(*scene.sent.borrow(), [event.id]);
    assert_eq!(scene.outcomes(), [(event.id, Outcome::Protected)]);
}

#[rstest]
#[case::done(&[Sent::Done], Outcome::Released)]
#[case::partial(&[Sent::Partial], Outcome::Partial)]
#[case::refused(&[Sent::Refused], Outcome::Refused)]
#[case::not_now(&[Sent::NotNow], Outcome::Refused)]
#[case::in_doubt(&[Sent::Doubtful], Outcome::Unknown)]
#[tokio::test(start_paused = true)]
async fn a_release_is_sent_once(#[case] answers: &[Sent], #[case] outcome: Outcome) {
    let (scene, event) = (Scene::answering(answers), event(Order::Revoke));
    assert_eq!(settle(Book::default(), vec![event.clone()], &scene).await, Ok(None));
    assert_eq!(*scene.sent.borrow(), [event.id]);
    assert_eq!(scene.outcomes(), [(event.id, outcome)]);
}

#[rstest]
#[case::in_the_end(&[Sent::NotNow, Sent::Doubtful, Sent::NotNow, Sent::NotNow], 5, Outcome::Protected)]
#[case::never(&[Sent::NotNow; 5], 5, Outcome::Refused)]
#[case::nobody_knows(&[Sent::Doubtful, Sent::Refused], 2, Outcome::Unknown)]
#[case::refused(&[Sent::Refused], 1, Outcome::Refused)]
#[tokio::test(start_paused = true)]
async fn a_protection_is_tried(
    #[case] answers: &[Sent],
    #[case] tries: usize,
    #[case] outcome: Outcome,
) {
    let (scene, event) = (Scene::answering(answers), event(Order::Protect));
    assert_eq!(settle(Book::default(), vec![event.clone()], &scene).await, Ok(None));
    assert_eq!(scene.sent.borrow().len(), tries);
    assert_eq!(scene.outcomes(), [(event.id, outcome)]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_that_is_not_kept_or_not_due() {
    for away in [false, true] {
        let scene = Scene::default();
        scene.away.set(usize::from(away));
        scene.stands.set((!away).then_some(Standing::Behind));
        let due = settle(Book::default(), vec![event(Order::Revoke)], &scene).await;
        assert!(due.unwrap().is_some(), "it is looked at again");
        assert!(scene.sent.borrow().is_empty() && scene.saved.borrow().is_empty());
    }
    let scene = Scene::default();
    scene.lost.set(true);
    assert_eq!(settle(Book::default(), vec![event(Order::Revoke)], &scene).await, Err(Lost));
    assert!(scene.sent.borrow().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_release_that_a_newer_protection_overtook_is_not_sent() {
    let (scene, event) = (Scene::default(), event(Order::Revoke));
    scene.stands.set(Some(Standing::Overtaken));
    assert_eq!(settle(Book::default(), vec![event.clone()], &scene).await, Ok(None));
    assert!(scene.sent.borrow().is_empty() && scene.alarms.borrow().is_empty());
    assert_eq!(scene.outcomes(), [(event.id, Outcome::Superseded)]);
}

/// An outcome that cannot be kept yet is kept later, and nothing is sent for it again.
#[tokio::test(start_paused = true)]
async fn an_outcome_is_kept_at_last() {
    let (scene, event) = (Scene::default(), event(Order::Revoke));
    let book = Book { under_way: Some(event.clone()) };
    scene.away.set(3);
    assert_eq!(settle(book, Vec::new(), &scene).await, Ok(None));
    assert_eq!(scene.outcomes(), [(event.id, Outcome::Unknown)]);
}

#[test]
fn the_same_conversations_have_the_same_lane() {
    let ids = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(key(&ids("C1 c1")), "!protection:c1");
    assert_eq!(key(&ids("c1 C2")), key(&ids("c2 c1 c2")));
    assert_ne!(key(&ids("c1 c2")), key(&ids("c1 c3")));
}
