//! The loop that takes deliveries from the queue and sends them.
//!
//! Every subscription has places of its own, so a target that hangs fills its own places and delays
//! no other. Reports and claims share one turn at the queue. A report that the queue cannot take is
//! kept and given again; meanwhile nothing is claimed, and the claim keeps others from the delivery
//! until it ends. A delivery that was sent and not reported is sent again: at least once, with the
//! same id.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use super::schedule::Schedule;
use super::{Answer, Claimed, Fate, Post, Queue, Report, Turn, Want};
use crate::limits::{DELIVERIES_AT_ONCE, DELIVERY_CLAIM_MS};

/// From a turn that failed to the next.
const AFTER_FAILURE: Duration = Duration::from_secs(1);
/// The longest time between two looks at the queue.
const LONGEST_REST: Duration = Duration::from_mins(1);
/// How long tries under way may take when the sender is stopped; the rest is sent again later.
const LAST_TRIES: Duration = Duration::from_secs(5);

/// What a sender needs to know of a subscription.
#[derive(Clone, Debug)]
pub struct Course {
    /// Its name.
    pub name: Arc<str>,
    /// Its target's mark.
    pub mark: Arc<str>,
    /// The longest that one try takes.
    pub timeout: Duration,
}

/// Who is told of what becomes of deliveries.
pub trait Observer: Send + Sync + 'static {
    /// A try has ended, and this is what is to become of its delivery.
    fn tried(&self, report: &Report);
}

/// A sender.
pub struct Sender<Q, P, O> {
    queue: Q,
    post: P,
    observer: O,
    courses: Vec<Course>,
    schedule: Schedule,
    under_way: JoinSet<(Claimed, Answer)>,
    /// Claims under way, by subscription; what each is comes with its end.
    places: HashMap<Arc<str>, Vec<Claimed>>,
    reports: Vec<Report>,
}

// === impl Sender ===

impl<Q: Queue, P: Post, O: Observer> Sender<Q, P, O> {
    /// A sender that has not begun.
    pub fn new(queue: Q, post: P, observer: O, courses: Vec<Course>, schedule: Schedule) -> Self {
        let places = courses.iter().map(|it| (Arc::clone(&it.name), Vec::new())).collect();
        Self {
            queue,
            post,
            observer,
            courses,
            schedule,
            under_way: JoinSet::new(),
            places,
            reports: Vec::new(),
        }
    }

    /// Sends until `stop` resolves, and then reports what is under way.
    pub async fn run(mut self, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        loop {
            let rest = self.turn().await;
            tokio::select! {
                biased;
                () = &mut stop => break,
                Some(ended) = self.under_way.join_next() => self.take(ended),
                () = self.queue.woken() => {}
                () = tokio::time::sleep(rest) => {}
            }
            // What has ended meanwhile goes into the same turn.
            while let Some(ended) = self.under_way.try_join_next() {
                self.take(ended);
            }
        }
        self.end().await;
    }

    /// One turn at the queue. Gives how long to rest if nothing happens.
    async fn turn(&mut self) -> Duration {
        let wants = self.wants();
        if wants.is_empty() && self.reports.is_empty() {
            return LONGEST_REST;
        }
        let Ok(Turn { claimed, next }) = self.queue.turn(self.reports.clone(), wants).await else {
            return AFTER_FAILURE;
        };
        self.reports.clear();
        for claimed in claimed {
            let sending = self.post.post(&claimed);
            let places = self.places.entry(Arc::clone(&claimed.subscription)).or_default();
            places.push(claimed.clone());
            self.under_way.spawn(async move { (claimed, sending.await) });
        }
        next.unwrap_or(LONGEST_REST).min(LONGEST_REST)
    }

    fn wants(&self) -> Vec<Want> {
        let want = |course: &Course| {
            let taken = self.places.get(&course.name).map_or(0, Vec::len);
            let most = DELIVERIES_AT_ONCE.saturating_sub(taken);
            (most > 0).then(|| Want {
                subscription: Arc::clone(&course.name),
                mark: Arc::clone(&course.mark),
                most,
                lease: course.timeout + Duration::from_millis(DELIVERY_CLAIM_MS),
            })
        };
        self.courses.iter().filter_map(want).collect()
    }

    /// Takes in what became of a try.
    fn take(&mut self, ended: Result<(Claimed, Answer), tokio::task::JoinError>) {
        let (claimed, answer) = match ended {
            Ok(ended) => ended,
            // Its claim ends by itself, and its place is taken until this process ends.
            Err(error) => return tracing::error!(%error, "a delivery's try has ended badly"),
        };
        if let Some(places) = self.places.get_mut(&claimed.subscription) {
            places.retain(|it| it.number != claimed.number);
        }
        let fate = self.fate(&claimed, &answer);
        let Claimed { number, claim, subscription, .. } = claimed;
        let report = Report { number, claim, subscription, fate };
        self.observer.tried(&report);
        self.reports.push(report);
    }

    fn fate(&self, claimed: &Claimed, answer: &Answer) -> Fate {
        match *answer {
            Answer::Taken { status } => Fate::Delivered { status },
            Answer::Gone => {
                let course = self.courses.iter().find(|it| it.name == claimed.subscription);
                Fate::Gone { mark: course.map(|it| Arc::clone(&it.mark)).unwrap_or_default() }
            }
            Answer::Failed { why, wait } => {
                let seed = format!("{} {}", claimed.event, claimed.subscription);
                match self.schedule.wait(claimed.failed + 1, &seed) {
                    Some(after) => Fate::Again { after: after.max(wait.unwrap_or_default()), why },
                    None => Fate::Dead { why },
                }
            }
        }
    }

    /// Lets tries under way end, gives back the others, and reports.
    async fn end(mut self) {
        let ending = async {
            while let Some(ended) = self.under_way.join_next().await {
                self.take(ended);
            }
        };
        let _ = tokio::time::timeout(LAST_TRIES, ending).await;
        self.under_way.shutdown().await;
        let left = std::mem::take(&mut self.places).into_values().flatten();
        self.reports.extend(left.map(|it| Report {
            number: it.number,
            claim: it.claim,
            subscription: it.subscription,
            fate: Fate::Released,
        }));
        if !self.reports.is_empty() && self.queue.turn(self.reports, Vec::new()).await.is_err() {
            tracing::warn!(
                "what became of the last deliveries is not on record: they go out again"
            );
        }
    }
}
