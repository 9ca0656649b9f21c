//! Protection by triggers on a paused clock: what is sent, how often, and what is kept of it when.

#![allow(clippy::unwrap_used)]

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use uuid::Uuid;

use super::{Book, Left, Lost, PATIENCE, Sent, Step, World, key, settle};
use crate::hook::shelf::{Held, Outcome, Standing, Unkept, Waiting};
use crate::hook::trigger::Order;
use crate::hook::trigger::payload::Asked;

/// A vendor and a ledger that answer what they are told to.
#[derive(Default)]
struct Scene {
    /// Seconds since the beginning.
    now: Cell<i64>,
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
        Timestamp::from_second(self.now.get()).unwrap()
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
    event_at(0, order)
}

fn event_at(second: i64, order: fn(Asked) -> Order) -> Waiting {
    let asked = Asked { trigger: "legal".to_owned(), conversations: vec!["c1".to_owned()] };
    let at = Timestamp::from_second(second).unwrap();
    Waiting { id: Uuid::new_v4(), at, received: at, order: order(asked) }
}

/// Turn after turn, each at the time that the one before it asked for. Gives what is left.
async fn turns(book: Book, waiting: Vec<Waiting>, scene: &Scene, most: usize) -> Left {
    let mut left = settle(book, waiting, scene).await.unwrap();
    for _ in 1..most {
        let Some(due) = left.due else { break };
        scene.now.set(due.as_second());
        left = settle(kept_as(&left.book), Vec::new(), scene).await.unwrap();
    }
    left
}

/// A book as it is when it has been kept and read again.
fn kept_as(book: &Book) -> Book {
    Book::read(book.written().as_deref()).unwrap()
}

const UNSENT: Sent = Sent::Unsent(None);

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
    let book = Book { under_way: Some(event.clone()), ..Book::default() };
    assert_eq!(settle(book, Vec::new(), &scene).await, Ok(Left::default()));
    assert!(scene.sent.borrow().is_empty());
    assert_eq!(scene.outcomes(), [(event.id, Outcome::Unknown)]);
    assert_eq!(*scene.alarms.borrow(), [Outcome::Unknown]);
}

#[tokio::test(start_paused = true)]
async fn a_protection_that_was_interrupted_is_sent_again() {
    let (scene, event) = (Scene::default(), event(Order::Protect));
    let book = Book { under_way: Some(event.clone()), ..Book::default() };
    // However it was kept: it is done once more, and not twice.
    assert_eq!(settle(book, vec![event.clone()], &scene).await, Ok(Left::default()));
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
    assert_eq!(settle(Book::default(), vec![event.clone()], &scene).await, Ok(Left::default()));
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
    assert_eq!(settle(Book::default(), vec![event.clone()], &scene).await, Ok(Left::default()));
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
        assert!(due.unwrap().due.is_some(), "it is looked at again");
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
    assert_eq!(settle(Book::default(), vec![event.clone()], &scene).await, Ok(Left::default()));
    assert!(scene.sent.borrow().is_empty() && scene.alarms.borrow().is_empty());
    assert_eq!(scene.outcomes(), [(event.id, Outcome::Superseded)]);
}

/// An outcome that cannot be kept yet is kept later, and nothing is sent for it again.
#[tokio::test(start_paused = true)]
async fn an_outcome_is_kept_at_last() {
    let (scene, event) = (Scene::default(), event(Order::Revoke));
    let book = Book { under_way: Some(event.clone()), ..Book::default() };
    scene.away.set(3);
    assert_eq!(settle(book, Vec::new(), &scene).await, Ok(Left::default()));
    assert_eq!(scene.outcomes(), [(event.id, Outcome::Unknown)]);
}

/// Behind an open breaker nothing is sent, so a release is tried again, and sent once.
#[rstest]
#[case::release(Order::Revoke, Outcome::Released)]
#[case::protection(Order::Protect, Outcome::Protected)]
#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_sent_later(
    #[case] order: fn(Asked) -> Order,
    #[case] outcome: Outcome,
) {
    let wait = Sent::Unsent(Some(Duration::from_secs(20)));
    let scene = Scene::answering(&[UNSENT, wait, UNSENT]);
    let event = event(order);
    let left = settle(Book::default(), vec![event.clone()], &scene).await.unwrap();
    // It is on record that nothing is under way: a crash from here on leaves nothing unknown.
    assert_eq!(scene.kept(), left.book);
    assert_eq!((&left.book.under_way, left.book.put_off.len()), (&None, 1));
    assert_eq!(left.due, Timestamp::from_second(1).ok());
    // Before its time it is not tried.
    let early = settle(kept_as(&left.book), Vec::new(), &scene).await.unwrap();
    assert_eq!((&early, scene.sent.borrow().len()), (&left, 1));
    scene.now.set(1);
    let left = settle(kept_as(&left.book), Vec::new(), &scene).await.unwrap();
    assert_eq!(left.due, Timestamp::from_second(21).ok(), "as the breaker says");
    assert!(scene.outcomes().is_empty() && scene.alarms.borrow().is_empty());
    assert_eq!(turns(left.book, Vec::new(), &scene, 9).await, Left::default());
    assert_eq!(*scene.sent.borrow(), [event.id; 4], "three were no sending");
    assert_eq!(scene.outcomes(), [(event.id, outcome)]);
}

/// It is bounded, and then it is told what is true: nothing was sent.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_sent_is_given_up() {
    let (scene, event) = (Scene::answering(&[UNSENT; 99]), event(Order::Revoke));
    assert_eq!(turns(Book::default(), vec![event.clone()], &scene, 99).await, Left::default());
    assert_eq!(scene.outcomes(), [(event.id, Outcome::NotSent)]);
    assert_eq!(*scene.alarms.borrow(), [Outcome::NotSent]);
    assert_eq!(i128::from(scene.now.get()), i128::from(PATIENCE.as_secs()));
    assert_eq!(scene.sent.borrow().len(), 16, "a minute apart at most");
}

/// What was sent is not sent again, whatever came before it.
#[rstest]
#[case::no_answer(Sent::Doubtful, Outcome::Unknown)]
#[case::not_now(Sent::NotNow, Outcome::Refused)]
#[tokio::test(start_paused = true)]
async fn a_release_that_was_put_off_is_sent_once(#[case] then: Sent, #[case] outcome: Outcome) {
    let (scene, event) = (Scene::answering(&[UNSENT, then]), event(Order::Revoke));
    assert_eq!(turns(Book::default(), vec![event.clone()], &scene, 9).await, Left::default());
    assert_eq!(scene.outcomes(), [(event.id, outcome)]);
    assert_eq!(scene.sent.borrow().len(), 2);
}

/// A process that ends in the middle of a later try leaves it unknown, as of the first.
#[tokio::test(start_paused = true)]
async fn a_crash_in_a_later_try_of_a_release_is_unknown() {
    let (scene, event) = (Scene::answering(&[UNSENT]), event(Order::Revoke));
    let left = settle(Book::default(), vec![event.clone()], &scene).await.unwrap();
    scene.ends_in.set(Some(2));
    scene.now.set(1);
    assert!(settle(left.book, Vec::new(), &scene).now_or_never().is_none());
    let next = Scene::default();
    assert_eq!(settle(scene.kept(), Vec::new(), &next).await, Ok(Left::default()));
    assert_eq!(next.outcomes(), [(event.id, Outcome::Unknown)]);
    assert!(next.sent.borrow().is_empty());
}

/// A protection that may have been sent before a crash never ends as not sent.
#[tokio::test(start_paused = true)]
async fn a_protection_in_doubt_stays_in_doubt() {
    let (scene, event) = (Scene::answering(&[UNSENT; 99]), event(Order::Protect));
    let book = Book { under_way: Some(event.clone()), ..Book::default() };
    assert_eq!(turns(book, Vec::new(), &scene, 99).await, Left::default());
    assert_eq!(scene.outcomes(), [(event.id, Outcome::Unknown)]);
}

/// What could not be sent gives way to what came after it; a protection not to a release.
#[tokio::test(start_paused = true)]
async fn what_is_put_off_gives_way_to_what_is_newer() {
    let (revoke, protect) = (event_at(1, Order::Revoke), event_at(2, Order::Protect));
    let scene = Scene::answering(&[UNSENT]);
    let left = settle(Book::default(), vec![revoke.clone()], &scene).await.unwrap();
    // It came before its next try was due.
    let left = settle(left.book, vec![protect.clone()], &scene).await;
    assert_eq!(left, Ok(Left::default()));
    let outcomes = [(revoke.id, Outcome::Superseded), (protect.id, Outcome::Protected)];
    assert_eq!(scene.outcomes(), outcomes);

    let (protect, revoke) = (event_at(1, Order::Protect), event_at(2, Order::Revoke));
    let scene = Scene::answering(&[UNSENT]);
    let waiting = vec![protect.clone(), revoke.clone()];
    let left = settle(Book::default(), waiting, &scene).await.unwrap();
    assert_eq!(*scene.sent.borrow(), [protect.id], "the release waits behind it");
    scene.now.set(1);
    assert_eq!(settle(left.book, vec![revoke.clone()], &scene).await, Ok(Left::default()));
    let outcomes = [(protect.id, Outcome::Protected), (revoke.id, Outcome::Released)];
    assert_eq!(scene.outcomes(), outcomes);
}

/// What came late and is older is done before it, and what is put off is not forgotten.
#[tokio::test(start_paused = true)]
async fn what_is_put_off_is_kept_beside_what_is_older() {
    let (late, revoke) = (event_at(1, Order::Protect), event_at(2, Order::Revoke));
    let scene = Scene::answering(&[UNSENT, Sent::Refused]);
    let left = settle(Book::default(), vec![revoke.clone()], &scene).await.unwrap();
    let next = settle(left.book.clone(), vec![late.clone()], &scene).await.unwrap();
    assert_eq!(next, left);
    assert_eq!(scene.outcomes(), [(late.id, Outcome::Refused)]);
    assert!(scene.saved.borrow().iter().skip(2).all(|it| it.book.put_off == left.book.put_off));
    // Not its turn yet, or nobody can say: it is kept all the same.
    scene.now.set(1);
    scene.stands.set(Some(Standing::Behind));
    let next = settle(left.book.clone(), Vec::new(), &scene).await.unwrap();
    assert_eq!(next.book, left.book);
    // Another lane's protection was faster.
    scene.stands.set(Some(Standing::Overtaken));
    assert_eq!(settle(next.book, Vec::new(), &scene).await, Ok(Left::default()));
    assert_eq!(scene.outcomes()[1..], [(revoke.id, Outcome::Superseded)]);
}

/// Nothing waits for a release that is put off, and a release for a protection that is.
#[test]
fn who_waits_for_what_is_put_off() {
    let put_off = |event: Waiting| {
        let (due, until) =
            (event.at, event.at.saturating_add(SignedDuration::from_hours(1)).unwrap());
        let tried = super::Tried { times: 1, due, until, in_doubt: false };
        Book { under_way: None, put_off: vec![super::PutOff { event, tried }] }
    };
    let (revoke, protect) = (event(Order::Revoke), event(Order::Protect));
    for (book, order, waits) in [
        (put_off(protect.clone()), &revoke.order, true),
        (put_off(protect.clone()), &protect.order, false),
        (put_off(revoke.clone()), &protect.order, false),
        (put_off(revoke.clone()), &revoke.order, false),
    ] {
        assert_eq!(book.concerns(order), waits, "{book:?}");
    }
    let under_way = Book { under_way: Some(protect.clone()), ..Book::default() };
    assert!(under_way.concerns(&protect.order) && under_way.concerns(&revoke.order));
}

#[test]
fn the_same_conversations_have_the_same_lane() {
    let ids = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(key(&ids("C1 c1")), "!protection:c1");
    assert_eq!(key(&ids("c1 C2")), key(&ids("c2 c1 c2")));
    assert_ne!(key(&ids("c1 c2")), key(&ids("c1 c3")));
}
