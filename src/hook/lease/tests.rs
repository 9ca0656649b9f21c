//! Leases against a model: whatever comes, in whatever order, with reads and writes that fail and
//! processes that end in the middle of a turn.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use super::{
    Alarm, Book, Cause, Command, Done, Happened, Holder, Seen, Turn, Wanted, Whose, World, keep,
};
use crate::change::journal::Standing as Progress;
use crate::hook::shelf::{Held, Lane, Outcome, Unkept, Waiting};
use crate::hook::trigger::{Hold, LeaseTerms, OnExpiry, Order};

const MAX_PAUSE: u64 = 600;
const SETTLE: u64 = 2;

/// The vendor, the ledger and the clock of one conversation, and what ought to be.
struct Scene {
    now: Cell<Timestamp>,
    paused: Cell<bool>,
    ended: Cell<bool>,
    held_back: Cell<bool>,
    unreadable: Cell<bool>,
    refusing: Cell<bool>,
    losing: Cell<bool>,
    missing: Cell<bool>,
    unrecorded: Cell<Option<Timestamp>>,
    blind: Cell<bool>,
    commands: RefCell<Vec<Command>>,
    fence: Cell<u64>,
    saved: RefCell<Option<String>>,
    waiting: RefCell<VecDeque<Waiting>>,
    due: Cell<Option<Timestamp>>,
    on_expiry: OnExpiry,
    /// What the model says.
    holders: RefCell<BTreeMap<usize, Timestamp>>,
    other_pause: Cell<bool>,
    /// What was done.
    sent: RefCell<Vec<&'static str>>,
    outcomes: RefCell<Vec<(Uuid, Outcome)>>,
    alarms: RefCell<Vec<Alarm>>,
    notices: RefCell<Vec<&'static str>>,
    happened: RefCell<Vec<(String, Happened)>>,
}

impl World for Scene {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn commands(&self, after: u64) -> LocalBoxFuture<'static, Option<Vec<Command>>> {
        if self.blind.get() {
            return Box::pin(std::future::ready(None));
        }
        let later: Vec<Command> =
            self.commands.borrow().iter().filter(|it| it.fence > after).copied().collect();
        Box::pin(std::future::ready(Some(later)))
    }

    fn unrecorded(&self) -> Option<Timestamp> {
        self.unrecorded.get()
    }

    fn look(&self, _: &Book) -> LocalBoxFuture<'static, Seen> {
        if self.missing.get() {
            return Box::pin(std::future::ready(Seen::NotThere));
        }
        let seen = match (self.unreadable.get(), self.ended.get(), self.paused.get()) {
            (true, ..) => Seen::Unreadable,
            (_, true, _) => Seen::Ended,
            (.., true) if self.held_back.get() => Seen::HeldBack,
            (.., true) => Seen::Paused,
            (.., false) => Seen::Active,
        };
        Box::pin(std::future::ready(seen))
    }

    fn set(&self, wanted: Wanted, _: &Cause, _: &Book) -> LocalBoxFuture<'static, Done> {
        self.expire();
        match wanted {
            Wanted::Pause => {
                assert!(!self.holders.borrow().is_empty(), "paused for nobody");
                self.sent.borrow_mut().push("PAUSED");
            }
            Wanted::Resume => {
                assert!(self.holders.borrow().is_empty(), "resumed though somebody holds it");
                assert!(!self.other_pause.get(), "resumed another's pause");
                self.sent.borrow_mut().push("ACTIVE");
            }
        }
        let done = if self.missing.get() {
            Done::NotThere
        } else if self.refusing.get() {
            Done::Failed
        } else {
            self.command(Whose::Ours, wanted);
            if self.losing.get() { Done::Failed } else { Done::Accepted }
        };
        Box::pin(std::future::ready(done))
    }

    fn pause_came(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }

    fn save(&self, book: &Book, turn: &Turn) -> LocalBoxFuture<'static, Result<Held, Unkept>> {
        self.put(book, turn);
        Box::pin(std::future::ready(Ok(Held::Ours)))
    }

    fn alarm(&self, alarm: Alarm) {
        self.alarms.borrow_mut().push(alarm);
    }

    fn record(&self, holder: &Holder, what: Happened) {
        self.happened.borrow_mut().push((holder.source.clone(), what));
    }
}

impl Scene {
    fn new(on_expiry: OnExpiry) -> Self {
        Self {
            now: Cell::new(Timestamp::from_second(1_800_000_000).unwrap()),
            paused: Cell::new(false),
            ended: Cell::new(false),
            held_back: Cell::new(false),
            unreadable: Cell::new(false),
            refusing: Cell::new(false),
            losing: Cell::new(false),
            missing: Cell::new(false),
            unrecorded: Cell::default(),
            blind: Cell::new(false),
            commands: RefCell::default(),
            fence: Cell::new(0),
            saved: RefCell::default(),
            waiting: RefCell::default(),
            due: Cell::default(),
            on_expiry,
            holders: RefCell::default(),
            other_pause: Cell::new(false),
            sent: RefCell::default(),
            outcomes: RefCell::default(),
            alarms: RefCell::default(),
            notices: RefCell::default(),
            happened: RefCell::default(),
        }
    }

    fn lane() -> Lane {
        Lane { upstream: "genesys".to_owned(), key: "c1".to_owned() }
    }

    /// Somebody's command takes effect, and is on record.
    fn command(&self, whose: Whose, wanted: Wanted) {
        self.fence.set(self.fence.get() + 1);
        self.paused.set(wanted == Wanted::Pause);
        self.held_back.set(false);
        self.commands.borrow_mut().push(Command {
            fence: self.fence.get(),
            whose,
            wanted,
            standing: Progress::Ended,
            at: self.now.get(),
        });
    }

    fn put(&self, book: &Book, turn: &Turn) {
        *self.saved.borrow_mut() = book.written();
        let gone =
            |id: &Uuid| turn.applied.contains(id) || turn.settled.iter().any(|it| it.id == *id);
        self.waiting.borrow_mut().retain(|it| !gone(&it.id));
        self.outcomes.borrow_mut().extend(turn.settled.iter().map(|it| (it.id, it.outcome)));
        self.notices.borrow_mut().extend(turn.notices.iter().map(|it| it.kind));
    }

    fn book(&self) -> Book {
        self.saved.borrow().as_deref().map_or_else(Book::default, |text| Book::read(text).unwrap())
    }

    /// One turn; one that is cut off leaves only what was saved in its middle.
    fn turn(&self, cut: Cut) {
        let mut book = self.book();
        let waiting = self.waiting.borrow().iter().cloned().collect();
        let turn = keep(&Self::lane(), &mut book, waiting, self).now_or_never().unwrap().unwrap();
        if cut == Cut::Whole {
            self.put(&book, &turn);
            self.due.set(turn.due);
        } else {
            self.due.set(Some(self.now.get()));
        }
    }

    /// Until nothing is due.
    fn settle(&self) {
        for _ in 0..50 {
            let due = self.due.get().is_some_and(|at| at <= self.now.get());
            if !due && self.waiting.borrow().is_empty() {
                return;
            }
            self.turn(Cut::Whole);
        }
        panic!("it does not settle: {:?}", self.book());
    }

    fn advance(&self, seconds: u64) {
        let target = later(self.now.get(), seconds);
        for _ in 0..100_000 {
            match self.due.get().filter(|at| *at <= target) {
                Some(at) => {
                    self.now.set(at.max(self.now.get()));
                    self.expire();
                    self.turn(Cut::Whole);
                }
                None => break,
            }
        }
        self.now.set(target);
        self.expire();
    }

    fn expire(&self) {
        let now = self.now.get();
        if self.on_expiry == OnExpiry::Resume {
            self.holders.borrow_mut().retain(|_, until| *until > now);
        }
    }

    fn event(&self, source: usize, order: fn(Hold) -> Order, at: Timestamp) -> Uuid {
        self.put_event(order(self.hold(source)), at)
    }

    /// An event now, by somebody else.
    fn event_as(&self, other: &impl Fn(Hold) -> Hold, order: fn(Hold) -> Order) -> Uuid {
        self.put_event(order(other(self.hold(0))), self.now.get())
    }

    fn put_event(&self, order: Order, at: Timestamp) -> Uuid {
        let id = Uuid::new_v4();
        self.waiting.borrow_mut().push_back(Waiting { id, at, received: self.now.get(), order });
        id
    }

    fn hold(&self, source: usize) -> Hold {
        Hold {
            trigger: "billing".to_owned(),
            source: format!("billing:{source}"),
            reason: "a screen".to_owned(),
            conversation: "c1".to_owned(),
            medium: Some("calls".to_owned()),
            terms: LeaseTerms {
                max_pause: Duration::from_secs(MAX_PAUSE),
                on_expiry: self.on_expiry,
                settle: Duration::from_secs(SETTLE),
            },
        }
    }

    fn open(&self, source: usize) -> Uuid {
        let until = later(self.now.get(), MAX_PAUSE);
        self.holders.borrow_mut().insert(source, until);
        self.event(source, Order::Pause, self.now.get())
    }

    fn close(&self, source: usize) -> Uuid {
        self.holders.borrow_mut().remove(&source);
        self.event(source, Order::Resume, self.now.get())
    }

    fn person_pauses(&self) {
        self.command(Whose::Clients, Wanted::Pause);
        self.other_pause.set(true);
    }

    fn person_resumes(&self) {
        self.command(Whose::Clients, Wanted::Resume);
        self.other_pause.set(false);
        self.holders.borrow_mut().clear();
    }

    fn outcome(&self, id: Uuid) -> Option<Outcome> {
        self.outcomes.borrow().iter().rev().find(|it| it.0 == id).map(|it| it.1)
    }

    fn sent(&self) -> Vec<&'static str> {
        self.sent.borrow().clone()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Whole,
    Off,
}

#[derive(Clone, Debug)]
enum Step {
    Open(usize),
    Close(usize),
    PersonPauses,
    PersonResumes,
    Wait(u64),
    Reads(bool),
    Writes(bool),
    Answers(bool),
    Restart,
    PausedBefore,
}

fn later(at: Timestamp, seconds: u64) -> Timestamp {
    at.checked_add(SignedDuration::from_secs(seconds.cast_signed())).unwrap()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..3_usize).prop_map(Step::Open),
        4 => (0..3_usize).prop_map(Step::Close),
        1 => Just(Step::PersonPauses),
        1 => Just(Step::PersonResumes),
        3 => prop_oneof![Just(1), Just(3), Just(30), Just(700)].prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Reads),
        1 => any::<bool>().prop_map(Step::Writes),
        1 => any::<bool>().prop_map(Step::Answers),
        2 => Just(Step::Restart),
        1 => Just(Step::PausedBefore),
    ];
    proptest::collection::vec(step, 1..40)
}

/// Plays a sequence; the scene itself refuses a resume that must not be sent.
fn play(steps: &[Step], on_expiry: OnExpiry) -> Scene {
    let scene = Scene::new(on_expiry);
    let mut troubled = false;
    for step in steps {
        match *step {
            Step::Open(source) => drop(scene.open(source)),
            Step::Close(source) => drop(scene.close(source)),
            Step::PersonPauses => scene.person_pauses(),
            Step::PersonResumes => scene.person_resumes(),
            Step::Wait(seconds) => scene.advance(seconds),
            Step::Reads(fail) => scene.unreadable.set(fail),
            Step::Writes(fail) => scene.refusing.set(fail),
            Step::Answers(fail) => scene.losing.set(fail),
            Step::Restart => scene.turn(Cut::Off),
            Step::PausedBefore => {
                // Straight at the vendor, long after whatever was there before.
                scene.advance(60);
                if !scene.paused.get() && scene.holders.borrow().is_empty() {
                    scene.paused.set(true);
                    scene.other_pause.set(true);
                }
            }
        }
        troubled |= scene.unreadable.get() || scene.refusing.get() || scene.losing.get();
        scene.settle();
        let waits = scene.book().retry_at.is_some_and(|at| at > scene.now.get());
        let held = !scene.holders.borrow().is_empty();
        if held && !scene.refusing.get() && !waits {
            assert!(scene.paused.get(), "held, and not paused, after {step:?}");
        }
    }
    // When everything works again and everyone has let go, it is recorded again.
    scene.unreadable.set(false);
    scene.refusing.set(false);
    scene.losing.set(false);
    for source in 0..3 {
        scene.close(source);
    }
    scene.settle();
    scene.advance(700);
    if !troubled && !scene.other_pause.get() {
        assert!(!scene.paused.get(), "nobody holds it, and it is paused");
    }
    if scene.other_pause.get() {
        assert!(scene.paused.get(), "another's pause is gone");
    }
    scene
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn leases_keep_to_the_model(steps in steps(), resume in any::<bool>()) {
        play(&steps, if resume { OnExpiry::Resume } else { OnExpiry::Alarm });
    }
}

#[test]
fn two_sources_make_one_pause_and_one_resume() {
    let scene = Scene::new(OnExpiry::Resume);
    let (first, second) = (scene.open(0), scene.open(1));
    scene.settle();
    assert_eq!(scene.sent(), ["PAUSED"]);
    assert_eq!(scene.outcome(first), Some(Outcome::Paused));
    assert_eq!(scene.outcome(second), Some(Outcome::Paused));
    let one = scene.close(0);
    scene.settle();
    assert_eq!(scene.outcome(one), Some(Outcome::StillHeld));
    scene.advance(30);
    let both = scene.close(1);
    scene.settle();
    assert_eq!((scene.outcome(both), scene.sent().len()), (None, 1));
    scene.advance(SETTLE);
    assert_eq!(scene.sent(), ["PAUSED", "ACTIVE"]);
    assert_eq!(scene.outcome(both), Some(Outcome::Resumed));
    assert_eq!(*scene.notices.borrow(), ["recording.paused", "recording.resumed"]);
}

#[test]
fn a_resume_of_unknown_end_is_not_sent_again() {
    let scene = Scene::new(OnExpiry::Resume);
    let _ = scene.open(0);
    scene.settle();
    scene.losing.set(true);
    let close = scene.close(0);
    scene.settle();
    scene.advance(SETTLE);
    assert_eq!(scene.sent(), ["PAUSED", "ACTIVE"]);
    // It took effect, and somebody pauses straight at the vendor.
    scene.paused.set(true);
    scene.other_pause.set(true);
    scene.losing.set(false);
    scene.advance(700);
    assert_eq!(scene.sent(), ["PAUSED", "ACTIVE"]);
    assert_eq!(scene.outcome(close), Some(Outcome::LeftPaused));
    assert!(scene.alarms.borrow().contains(&Alarm::Unreadable));
}

#[test]
fn a_resume_of_unknown_end_is_not_sent_again_where_the_ledger_was_away() {
    let scene = Scene::new(OnExpiry::Resume);
    let _ = scene.open(0);
    scene.settle();
    let close = scene.close(0);
    scene.settle();
    scene.now.set(later(scene.now.get(), SETTLE));
    // The process ends behind the resume, and its successor cannot ask what was sent.
    scene.turn(Cut::Off);
    assert_eq!(scene.sent(), ["PAUSED", "ACTIVE"]);
    scene.paused.set(true);
    scene.other_pause.set(true);
    scene.blind.set(true);
    scene.advance(30);
    scene.blind.set(false);
    scene.advance(30);
    assert_eq!(scene.sent(), ["PAUSED", "ACTIVE"]);
    assert_eq!(scene.outcome(close), Some(Outcome::LeftPaused));
}

#[test]
fn a_resume_that_came_to_nothing_is_sent_again() {
    let scene = Scene::new(OnExpiry::Resume);
    let _ = scene.open(0);
    scene.settle();
    scene.refusing.set(true);
    let close = scene.close(0);
    scene.settle();
    scene.advance(30);
    assert!(scene.paused.get() && scene.sent().len() > 3);
    scene.refusing.set(false);
    scene.advance(60);
    assert!(!scene.paused.get());
    assert_eq!(scene.outcome(close), Some(Outcome::Resumed));
}

#[test]
fn flapping_makes_one_pause() {
    let scene = Scene::new(OnExpiry::Resume);
    for _ in 0..5 {
        scene.open(0);
        scene.settle();
        scene.advance(1);
        scene.close(0);
        scene.settle();
        scene.advance(1);
    }
    assert_eq!(scene.sent(), ["PAUSED"]);
    scene.advance(SETTLE);
    assert_eq!(scene.sent(), ["PAUSED", "ACTIVE"]);
}

#[test]
fn a_late_older_event_changes_nothing() {
    let scene = Scene::new(OnExpiry::Resume);
    let early = scene.now.get();
    scene.advance(10);
    scene.open(0);
    scene.close(0);
    scene.settle();
    scene.advance(30);
    let late = scene.event(0, Order::Pause, early);
    scene.settle();
    assert_eq!(scene.outcome(late), Some(Outcome::Superseded));
    assert!(!scene.paused.get());
}

#[test]
fn a_pause_by_a_hold_is_made_secure_and_not_undone() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.paused.set(true);
    scene.held_back.set(true);
    scene.open(0);
    scene.settle();
    assert_eq!(scene.sent(), ["PAUSED"]);
    let closed = scene.close(0);
    scene.settle();
    scene.advance(60);
    assert_eq!(
        (scene.sent(), scene.outcome(closed)),
        (vec!["PAUSED"], Some(Outcome::HeldByAnother))
    );
}

/// A client's pause that the ledger could not write down holds, also where the ledger is away at the
/// very turn that learns of it.
#[test]
fn a_pause_without_a_record_is_not_undone() {
    for away in [false, true] {
        let scene = Scene::new(OnExpiry::Resume);
        scene.open(0);
        scene.settle();
        scene.advance(10);
        scene.unrecorded.set(Some(scene.now.get()));
        scene.other_pause.set(true);
        scene.blind.set(away);
        let closed = scene.close(0);
        scene.turn(Cut::Whole);
        // The book has it from now on.
        scene.unrecorded.set(None);
        scene.blind.set(false);
        scene.advance(30);
        assert_eq!(scene.sent(), ["PAUSED"], "{away}");
        assert_eq!(scene.outcome(closed), Some(Outcome::HeldByAnother), "{away}");
    }
}

/// A person's later resume ends it, as any.
#[test]
fn a_pause_without_a_record_ends_with_a_later_resume() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.open(0);
    scene.settle();
    scene.advance(10);
    scene.unrecorded.set(Some(scene.now.get()));
    scene.advance(10);
    scene.person_resumes();
    scene.turn(Cut::Whole);
    scene.unrecorded.set(None);
    let again = scene.open(1);
    scene.settle();
    assert_eq!(scene.outcome(again), Some(Outcome::Paused));
    let closed = scene.close(1);
    scene.settle();
    scene.advance(30);
    assert_eq!(scene.outcome(closed), Some(Outcome::Resumed));
}

#[test]
fn a_resume_at_the_vendors_own_desktop_ends_leases() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.open(0);
    scene.settle();
    scene.advance(30);
    scene.paused.set(false);
    // Only who comes after that holds it.
    scene.holders.borrow_mut().clear();
    scene.open(1);
    scene.settle();
    assert_eq!(scene.sent(), ["PAUSED", "PAUSED"]);
    assert!(scene.happened.borrow().contains(&("billing:0".to_owned(), Happened::PersonResumed)));
    let closed = scene.close(1);
    scene.settle();
    scene.advance(30);
    assert_eq!(scene.outcome(closed), Some(Outcome::Resumed));
}

#[test]
fn what_cannot_be_read_stays_paused_with_an_alarm() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.unreadable.set(true);
    scene.open(0);
    scene.settle();
    assert_eq!(scene.sent(), ["PAUSED"]);
    let closed = scene.close(0);
    scene.settle();
    scene.advance(60);
    assert_eq!(scene.outcome(closed), Some(Outcome::LeftPaused));
    assert!(scene.paused.get() && scene.alarms.borrow().contains(&Alarm::Unreadable));
}

#[test]
fn an_ended_conversation_ends_its_leases() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.open(0);
    scene.settle();
    scene.ended.set(true);
    scene.advance(MAX_PAUSE + 10);
    assert_eq!(scene.sent(), ["PAUSED"]);
    assert!(scene.book().leases.is_empty());
}

/// Two triggers that give the same text as source are two: the one does not close what the other opened.
#[test]
fn triggers_of_the_same_source_are_two_holders() {
    let scene = Scene::new(OnExpiry::Resume);
    let of = |trigger: &'static str| {
        move |mut hold: Hold| {
            hold.trigger = trigger.to_owned();
            "screen".clone_into(&mut hold.source);
            hold
        }
    };
    let (billing, crm) = (of("billing"), of("crm"));
    scene.holders.borrow_mut().insert(0, later(scene.now.get(), MAX_PAUSE));
    let first = scene.event_as(&billing, Order::Pause);
    scene.settle();
    scene.event_as(&crm, Order::Pause);
    let other = scene.event_as(&crm, Order::Resume);
    scene.settle();
    scene.advance(10);
    assert_eq!(scene.outcome(first), Some(Outcome::Paused));
    assert_eq!(scene.outcome(other), Some(Outcome::StillHeld));
    assert!(scene.paused.get(), "billing holds it still");
    scene.holders.borrow_mut().clear();
    let last = scene.event_as(&billing, Order::Resume);
    scene.settle();
    scene.advance(10);
    assert_eq!(scene.outcome(last), Some(Outcome::Resumed));
}

/// A conversation that the vendor does not know is asked for as long as it may be younger than the
/// event, and no longer.
#[test]
fn an_unknown_conversation_ends_its_lease() {
    let scene = Scene::new(OnExpiry::Alarm);
    scene.missing.set(true);
    let opened = scene.open(0);
    scene.settle();
    assert_eq!(scene.outcome(opened), None);
    scene.advance(9);
    assert_eq!(scene.outcome(opened), None);
    scene.advance(2);
    assert_eq!(scene.outcome(opened), Some(Outcome::UnknownConversation));
    assert_eq!(*scene.alarms.borrow(), [Alarm::UnknownConversation]);
    assert!(
        scene.happened.borrow().contains(&("billing:0".to_owned(), Happened::ConversationUnknown))
    );
    let sent = scene.sent().len();
    scene.advance(MAX_PAUSE + 90_000);
    assert_eq!((scene.sent().len(), scene.saved.borrow().clone()), (sent, None), "nothing is left");
}

#[test]
fn a_conversation_may_be_younger_than_its_event() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.missing.set(true);
    let opened = scene.open(0);
    scene.settle();
    scene.advance(5);
    scene.missing.set(false);
    scene.advance(5);
    assert_eq!(scene.outcome(opened), Some(Outcome::Paused));
    assert!(scene.alarms.borrow().is_empty());
}

/// One that is gone when its lease ends was not left paused by anybody.
#[test]
fn a_conversation_that_is_gone_is_not_given_back() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.open(0);
    scene.settle();
    scene.advance(30);
    scene.missing.set(true);
    let closed = scene.close(0);
    scene.settle();
    scene.advance(10);
    assert_eq!(scene.outcome(closed), Some(Outcome::UnknownConversation));
    assert_eq!(scene.sent(), ["PAUSED"]);
}

#[test]
fn a_lease_that_is_held_too_long_ends_or_calls_a_person() {
    for (on_expiry, paused) in [(OnExpiry::Resume, false), (OnExpiry::Alarm, true)] {
        let scene = Scene::new(on_expiry);
        scene.open(0);
        scene.settle();
        scene.advance(MAX_PAUSE + 10);
        assert_eq!(scene.paused.get(), paused, "{on_expiry:?}");
        let notices = scene.notices.borrow();
        assert_eq!(notices.iter().filter(|it| **it == "recording.lease_expired").count(), 1);
        assert_eq!(scene.alarms.borrow().contains(&Alarm::Expired), paused);
    }
}

#[test]
fn a_pause_that_fails_is_told_and_tried_until_it_holds() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.refusing.set(true);
    let opened = scene.open(0);
    scene.settle();
    assert_eq!(scene.outcome(opened), Some(Outcome::PauseFailed));
    scene.advance(20);
    scene.refusing.set(false);
    scene.advance(60);
    assert!(scene.paused.get());
    assert_eq!(scene.outcome(opened), Some(Outcome::Paused));
    assert_eq!(*scene.notices.borrow(), ["recording.pause_failed", "recording.paused"]);
}

#[test]
fn nobody_waits_longer_than_there_is_something_to_know() {
    let scene = Scene::new(OnExpiry::Resume);
    scene.open(0);
    scene.settle();
    scene.close(0);
    scene.settle();
    scene.advance(3_600);
    assert_eq!((scene.saved.borrow().clone(), scene.due.get()), (None, None));
}
