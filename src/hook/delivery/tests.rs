//! Deliveries on a paused clock without sockets, and the guard before a network that only counts.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod addresses;
mod reference;

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::schedule::{STANDARD, Schedule};
use super::sender::{Course, Observer, Sender};
use super::{Answer, Claimed, Fate, Post, Queue, Report, Turn, Unavailable, Want, Why};

/// A queue in memory, with the same rules as the ledger's, on tokio's clock.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<State>>, Arc<Notify>);

#[derive(Default)]
struct State {
    waiting: Vec<Waiting>,
    ended: Vec<(String, Fate)>,
    gone: HashSet<Arc<str>>,
    failing_turns: usize,
}

struct Waiting {
    claimed: Claimed,
    about: &'static str,
    due: Instant,
    held_until: Instant,
}

impl Memory {
    fn add(&self, subscription: &str, event: &str, about: &'static str) {
        let mut state = self.0.lock().unwrap();
        let number = i64::try_from(state.waiting.len() + state.ended.len()).unwrap();
        let claimed = Claimed {
            number,
            claim: 0,
            event: event.to_owned(),
            subscription: Arc::from(subscription),
            payload: "{}".to_owned(),
            failed: 0,
        };
        let now = Instant::now();
        state.waiting.push(Waiting { claimed, about, due: now, held_until: now });
        self.1.notify_one();
    }

    fn ended(&self) -> Vec<(String, Fate)> {
        self.0.lock().unwrap().ended.clone()
    }
}

impl State {
    fn turn(&mut self, reports: Vec<Report>, wants: &[Want]) -> Turn {
        let now = Instant::now();
        for Report { number, claim, fate, .. } in reports {
            let at = self.waiting.iter().position(|it| it.claimed.number == number);
            let at = at.expect("a report is of what waits");
            let it = &mut self.waiting[at];
            assert_eq!(it.claimed.claim, claim);
            it.held_until = now;
            match &fate {
                Fate::Again { after, .. } => {
                    it.claimed.failed += 1;
                    it.due = now + *after;
                }
                Fate::Released => {}
                Fate::Delivered { .. } | Fate::Dead { .. } | Fate::Gone { .. } => {
                    let it = self.waiting.remove(at);
                    if let Fate::Gone { .. } = fate {
                        self.gone.insert(Arc::clone(&it.claimed.subscription));
                    }
                    self.ended.push((it.claimed.event, fate));
                }
            }
        }
        let mut turn = Turn::default();
        for want in wants.iter().filter(|it| !self.gone.contains(&it.subscription)) {
            let mut lanes = HashSet::new();
            let mut most = want.most;
            for it in &mut self.waiting {
                if it.claimed.subscription != want.subscription || !lanes.insert(it.about) {
                    continue;
                }
                if it.held_until > now || most == 0 {
                    continue;
                }
                if it.due > now {
                    let wait = it.due - now;
                    turn.next = Some(turn.next.map_or(wait, |next| next.min(wait)));
                    continue;
                }
                it.claimed.claim += 1;
                it.held_until = now + want.lease;
                most -= 1;
                turn.claimed.push(it.claimed.clone());
            }
        }
        turn
    }
}

impl Queue for Memory {
    fn turn(
        &self,
        reports: Vec<Report>,
        wants: Vec<Want>,
    ) -> BoxFuture<'static, Result<Turn, Unavailable>> {
        let state = Arc::clone(&self.0);
        Box::pin(async move {
            let mut state = state.lock().unwrap();
            if state.failing_turns > 0 {
                state.failing_turns -= 1;
                return Err(Unavailable);
            }
            Ok(state.turn(reports, &wants))
        })
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.1.notified())
    }
}

/// A target that answers by a script, and then always the same; it remembers when it was tried.
#[derive(Clone)]
struct Scripted {
    answers: Arc<Mutex<HashMap<String, VecDeque<Answer>>>>,
    then: Answer,
    slow: Option<(&'static str, Duration)>,
    tries: Arc<Mutex<Vec<(Instant, String)>>>,
}

impl Scripted {
    fn always(then: Answer) -> Self {
        Self { answers: Arc::default(), then, slow: None, tries: Arc::default() }
    }

    fn at_first(self, event: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.answers.lock().unwrap().insert(event.to_owned(), answers.into_iter().collect());
        self
    }

    /// When each try came, in milliseconds since `start`.
    fn tried(&self, start: Instant) -> Vec<(u128, String)> {
        let tries = self.tries.lock().unwrap();
        tries.iter().map(|(at, event)| ((*at - start).as_millis(), event.clone())).collect()
    }
}

impl Post for Scripted {
    fn post(&self, claimed: &Claimed) -> BoxFuture<'static, Answer> {
        self.tries.lock().unwrap().push((Instant::now(), claimed.event.clone()));
        let mut answers = self.answers.lock().unwrap();
        let scripted = answers.get_mut(&claimed.event).and_then(VecDeque::pop_front);
        let answer = scripted.unwrap_or_else(|| self.then.clone());
        let slow = self.slow.filter(|(name, _)| *name == &*claimed.subscription);
        Box::pin(async move {
            if let Some((_, slow)) = slow {
                tokio::time::sleep(slow).await;
            }
            answer
        })
    }
}

struct Nobody;

impl Observer for Nobody {
    fn tried(&self, _: &Report) {}
}

const TAKEN: Answer = Answer::Taken { status: 204 };

fn failing(status: u16) -> Answer {
    Answer::Failed { why: Why::Status(status), wait: None }
}

fn sender(
    queue: &Memory,
    post: &Scripted,
    names: &[&str],
    jitter_percent: u32,
) -> Sender<Memory, Scripted, Nobody> {
    let courses = names.iter().map(|name| Course {
        name: Arc::from(*name),
        mark: Arc::from("mark"),
        timeout: Duration::from_secs(20),
    });
    let schedule = Schedule { waits: STANDARD.to_vec(), jitter_percent };
    Sender::new(queue.clone(), post.clone(), Nobody, courses.collect(), schedule)
}

/// Runs a sender for so long.
async fn run(sender: Sender<Memory, Scripted, Nobody>, time: Duration) {
    sender.run(tokio::time::sleep(time)).await;
}

const FOUR_DAYS: Duration = Duration::from_hours(96);

#[tokio::test(start_paused = true)]
async fn the_whole_horizon_to_the_second() {
    let (queue, post) = (Memory::default(), Scripted::always(failing(500)));
    queue.add("crm", "e1", "c1");
    let start = Instant::now();
    run(sender(&queue, &post, &["crm"], 0), FOUR_DAYS).await;
    let seconds: Vec<u128> = post.tried(start).iter().map(|(ms, _)| ms / 1000).collect();
    // The specification's own second column: 00:00:05, 00:05:05, … 75:35:05.
    let hms = |h: u128, m: u128, s: u128| h * 3600 + m * 60 + s;
    let table = [
        0,
        hms(0, 0, 5),
        hms(0, 5, 5),
        hms(0, 35, 5),
        hms(2, 35, 5),
        hms(7, 35, 5),
        hms(17, 35, 5),
        hms(31, 35, 5),
        hms(51, 35, 5),
        hms(75, 35, 5),
    ];
    assert_eq!(seconds, table);
    assert_eq!(queue.ended(), [("e1".to_owned(), Fate::Dead { why: Why::Status(500) })]);
}

#[tokio::test(start_paused = true)]
async fn jitter_is_what_the_seed_says() {
    let (queue, post) = (Memory::default(), Scripted::always(failing(503)));
    queue.add("crm", "e1", "c1");
    queue.add("crm", "e2", "c2");
    let start = Instant::now();
    run(sender(&queue, &post, &["crm"], 10), FOUR_DAYS).await;
    let schedule = Schedule { waits: STANDARD.to_vec(), jitter_percent: 10 };
    let tried = post.tried(start);
    for event in ["e1", "e2"] {
        let mut due = Duration::ZERO;
        let mut expected = vec![0];
        for failed in 1..=9 {
            due += schedule.wait(failed, &format!("{event} crm")).unwrap();
            expected.push(due.as_secs());
        }
        let tries = tried.iter().filter(|(_, it)| it == event);
        let tries: Vec<u64> = tries.map(|(ms, _)| u64::try_from(ms / 1000).unwrap()).collect();
        assert!(tries.iter().zip(&expected).all(|(a, b)| a.abs_diff(*b) <= 1), "{tries:?}");
        assert_eq!(tries.len(), 10);
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_of_a_conversation_waits_and_others_do_not() {
    let (queue, post) = (Memory::default(), Scripted::always(TAKEN).at_first("e1", [failing(500)]));
    for (event, about) in [("e1", "c1"), ("e2", "c1"), ("e3", "c2"), ("e4", "c1")] {
        queue.add("crm", event, about);
    }
    let start = Instant::now();
    run(sender(&queue, &post, &["crm"], 0), FOUR_DAYS).await;
    let tried = post.tried(start);
    let tried: Vec<(u128, &str)> = tried.iter().map(|(ms, it)| (ms / 1000, &**it)).collect();
    assert_eq!(tried, [(0, "e1"), (0, "e3"), (5, "e1"), (5, "e2"), (5, "e4")]);
}

#[tokio::test(start_paused = true)]
async fn a_dead_target_delays_no_other() {
    let (queue, mut post) = (Memory::default(), Scripted::always(TAKEN));
    post.slow = Some(("dead", Duration::from_secs(20)));
    for number in 0..100 {
        queue.add("dead", &format!("d{number}"), ["a", "b", "c", "d"][number % 4]);
        queue.add("alive", &format!("a{number}"), ["a", "b", "c", "d"][number % 4]);
    }
    let start = Instant::now();
    run(sender(&queue, &post, &["dead", "alive"], 0), Duration::from_secs(10)).await;
    let tried = post.tried(start);
    let alive: Vec<_> = tried.iter().filter(|(_, it)| it.starts_with('a')).collect();
    assert_eq!(alive.len(), 100);
    assert!(alive.iter().all(|(ms, _)| *ms < 1_000), "{alive:?}");
}

#[tokio::test(start_paused = true)]
async fn gone_ends_a_subscription_and_retry_after_is_kept() {
    let wait = Answer::Failed { why: Why::Status(429), wait: Some(Duration::from_mins(10)) };
    let post = Scripted::always(TAKEN).at_first("e1", [wait]).at_first("g1", [Answer::Gone]);
    let queue = Memory::default();
    queue.add("crm", "e1", "c1");
    queue.add("left", "g1", "c1");
    queue.add("left", "g2", "c1");
    let start = Instant::now();
    run(sender(&queue, &post, &["crm", "left"], 0), FOUR_DAYS).await;
    let tried = post.tried(start);
    let tried: Vec<(u128, &str)> = tried.iter().map(|(ms, it)| (ms / 1000, &**it)).collect();
    assert_eq!(tried, [(0, "e1"), (0, "g1"), (600, "e1")]);
    let mark = Arc::from("mark");
    assert_eq!(queue.ended()[0], ("g1".to_owned(), Fate::Gone { mark }));
}

#[tokio::test(start_paused = true)]
async fn what_the_queue_did_not_take_is_reported_again() {
    let (queue, post) = (Memory::default(), Scripted::always(TAKEN));
    queue.add("crm", "e1", "c1");
    let start = Instant::now();
    queue.0.lock().unwrap().failing_turns = 1;
    let watching = queue.clone();
    let fail_the_report = async move {
        // Between the claim (after a second) and the report.
        tokio::time::sleep(Duration::from_secs(1)).await;
        watching.0.lock().unwrap().failing_turns = 2;
        std::future::pending::<()>().await;
    };
    let mut slow = post.clone();
    slow.slow = Some(("crm", Duration::from_secs(3)));
    tokio::select! {
        () = run(sender(&queue, &slow, &["crm"], 0), Duration::from_mins(5)) => {}
        () = fail_the_report => {}
    }
    assert_eq!(post.tried(start).len(), 1);
    assert_eq!(queue.ended(), [("e1".to_owned(), Fate::Delivered { status: 204 })]);
}
