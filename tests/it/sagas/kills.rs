//! `kill -9` at every mark of both sagas and at random, and a start on the same ledger: a SQLite
//! file, and a PostgreSQL.
//!
//! A life is a gateway that gets one workload (every saga, every way through it) and dies: at a
//! mark when it passes it for the n-th time, or by SIGKILL at a random moment. The next life of the
//! same lane recovers. When all lives of a lane are over one last gateway recovers what is left,
//! and then it is asserted:
//!
//! - no acknowledged pause is lost: a conversation whose pause was acknowledged, and for which no
//!   later resume was sent, is paused; an acknowledged resume is in force;
//! - the recovery account never resumed and never released anything;
//! - an acknowledged release is in force; one that was answered as rolled back left everything
//!   protected, and so did each that ended as rolled back in the ledger;
//! - every change of the world by a client's token has an intent, but a pause that needs no adapting,
//!   which may do without; every intent has exactly one closing outcome, and `recgate ledger verify`
//!   finds nothing missing or out of order;
//! - what the ledger calls done is so in the world;
//! - no canary ([`canaries`](super::canaries)) is in any log, metric, page, error or ledger.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use recgate::change::mark::Mark;
use rstest::rstest;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::canaries::{PLACES, Place, RECOVERY, Search};
use super::sender::{LATE, NATIVE, Sender, Told};
use super::world::{Hold, REFUSED, Trouble, World};
use super::{Kept, Ledger, On, Seeded, UPSTREAM, config, export, intents, ledger, quiet, times};
use crate::harness::{PATIENCE, Recgate, http};

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    kills: usize,
    at_marks: usize,
    acks: usize,
    finished: usize,
    unknown: usize,
    lost: usize,
}

/// A lane: one ledger, one world, life after life.
struct Lane {
    world: World,
    on: On,
    ledger: Ledger,
    config: String,
    search: Search,
    random: Seeded,
    number: usize,
    lives: usize,
    told: Vec<Told>,
    /// Conversations that are paused by the newest operation, after a resume or beside one.
    native: HashSet<String>,
    figures: Figures,
    at: Vec<(Mark, usize)>,
}

/// What became of a lane.
struct Past {
    figures: Figures,
    at: Vec<(Mark, usize)>,
    faults: Vec<String>,
    search: Search,
}

// === impl Lane ===

impl Lane {
    async fn new(on: On, number: usize, search: Search) -> Self {
        let (world, ledger) = (World::new().await, Ledger::new(on).await);
        let config = config(&world, &ledger.config, "");
        Self {
            world,
            on,
            ledger,
            config,
            search,
            random: Seeded::new(number as u64 + 77),
            number,
            lives: 0,
            told: Vec::new(),
            native: HashSet::new(),
            figures: Figures::default(),
            at: Mark::ALL.map(|mark| (mark, 0)).to_vec(),
        }
    }

    fn id(&self, kind: usize, item: usize) -> String {
        format!("{:08x}-{:04x}-4000-8000-{kind:08x}{item:04x}", self.number, self.lives)
    }

    /// One life, that ends at the mark or by a signal.
    async fn live(&mut self, mark: Option<Mark>) {
        self.lives += 1;
        // The ledger passes its marks with every command, also when it starts; where commits are
        // slow, more of them share one.
        let most = match mark {
            Some(
                Mark::LedgerCommitting
                | Mark::LedgerCommitted
                | Mark::PutAnswered
                | Mark::CommandAdmitted
                | Mark::CommandIntended,
            ) => 5,
            Some(Mark::CommandReady | Mark::CommandSettled | Mark::ReadingBack) => 4,
            _ => 1,
        };
        let named = mark.map(|mark| format!("{mark:?}:{}", 1 + self.random.below(most)));
        let finest = ["log.level=trace"];
        let started = Recgate::start_marked(Some(&self.config), &finest, named.as_deref()).await;
        let (by_itself, log) = match started {
            Err(log) => (true, log),
            Ok(recgate) => {
                self.work(&recgate, mark).await;
                let by_itself = recgate.has_ended();
                (by_itself, recgate.kill().await)
            }
        };
        self.search.look(Place::Log, log);
        self.figures.kills += 1;
        if let Some(mark) = mark.filter(|_| by_itself) {
            self.figures.at_marks += 1;
            self.at.iter_mut().filter(|(it, _)| *it == mark).for_each(|(_, count)| *count += 1);
        }
    }

    /// Every way through both sagas at once, until all is answered or the process is gone.
    async fn work(&mut self, recgate: &Recgate, mark: Option<Mark>) {
        let http2 = self.lives.is_multiple_of(2);
        let client = if http2 { http().http2_prior_knowledge() } else { http() };
        let client = client.build().unwrap();
        self.native.extend([self.id(9, 0), self.id(10, 0)]);
        let ids = |kind| (0..3).map(|item| self.id(kind, item)).collect::<Vec<_>>();
        let conversation = |kind| self.id(kind, 0);
        {
            let mut state = self.world.state();
            state.forbidden.insert(conversation(2));
            state.denied.insert(self.id(5, 2));
        }
        let busy = Trouble { status: Some(503), ..Trouble::default() };
        self.world.trouble(&conversation(7), "PAUSED", busy);
        // A resume that arrives when the pause behind it has long been accepted.
        let late = Trouble { before: LATE, ..Trouble::default() };
        self.world.trouble(&conversation(4), "ACTIVE", late);
        // Another that is at the vendor before the pause behind it is sent.
        let (came, go) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let hold = Hold { at: 1, came: Arc::clone(&came), go: Arc::clone(&go) };
        self.world.state().holds.insert(conversation(9), hold);
        tokio::spawn(async move {
            tokio::time::sleep(LATE).await;
            go.add_permits(1);
        });

        let sender = Sender { client, base: recgate.url(""), number: self.lives };
        let mut tasks = sender.commands(&conversation, came);
        for kind in [5, 6] {
            let one = sender.release(&ids(kind));
            tasks.spawn(async move { one.await.into_iter().collect() });
        }
        tasks.spawn(sender.careless(conversation(8)));
        let moment = Duration::from_millis(self.random.below(1_200) as u64);
        let watched = matches!(mark, Some(Mark::HoldBegun | Mark::PauseRepeated));
        let told = async {
            let mut told = Vec::new();
            while let Some(answers) = tasks.join_next().await {
                told.extend(answers.unwrap());
            }
            told
        };
        let told = if mark.is_some() {
            let told = tokio::time::timeout(PATIENCE, told).await.unwrap();
            // What is behind the answers, for the marks there. In a shared ledger only silence
            // tells that the life before this one is over.
            let recovers = matches!(mark, Some(Mark::RecoveryBegun | Mark::RecoveryAnswered));
            let last = match self.on {
                On::Postgres if recovers => 15_000,
                _ if watched => 1_500,
                _ => 100,
            };
            for _ in 0..last / 20 {
                if recgate.has_ended() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            pages(recgate, &mut self.search).await;
            told
        } else {
            let kill = async {
                tokio::time::sleep(moment).await;
                pages(recgate, &mut self.search).await;
                recgate.signal("-KILL");
            };
            let (told, ()) = tokio::join!(told, kill);
            told
        };
        for it in &told {
            self.search.look(Place::Header, &it.headers);
            // The vendor's own words pass as they are: successes, and refusals where no time was left
            // for another way.
            if it.status >= 400 && it.body["code"] != REFUSED {
                self.search.look(Place::Error, it.body.to_string());
            }
        }
        self.figures.acks += told.iter().filter(|it| (200..300).contains(&it.status)).count();
        self.told.extend(told);
    }

    /// The last life, and the judgement.
    async fn end(mut self) -> Past {
        let recgate = Recgate::start(Some(&self.config), &["log.level=trace"]).await;
        // One look takes over from so many of the dead; on a PostgreSQL each is 5 s after the last.
        let begun = Instant::now();
        while intents(&self.config).await.iter().any(|it| it.outcomes.is_empty()) {
            assert!(begun.elapsed() < PATIENCE * 4, "intents stay open");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        quiet(&recgate).await;
        pages(&recgate, &mut self.search).await;
        self.search.look_at_ledger(&self.ledger.url).await;
        recgate.signal("-TERM");
        self.search.look(Place::Log, recgate.kill().await);
        let kept = ledger(&self.config).await;
        self.search.look(Place::Export, export(&self.config).await);
        self.search.look_at_ledger(&self.ledger.url).await;
        let faults = self.faults(&kept);
        self.figures.finished = kept.iter().filter(|it| it.outcomes.len() == 1).count();
        self.figures.unknown = kept.iter().filter(|it| it.outcomes == ["unknown"]).count();
        self.figures.finished -= self.figures.unknown;
        self.figures.lost = faults.len();
        Past { figures: self.figures, at: self.at, faults, search: self.search }
    }

    fn faults(&self, kept: &[Kept]) -> Vec<String> {
        let mut faults = Vec::new();
        let acked = |told: &Told| (200..300).contains(&told.status);
        for told in &self.told {
            let id = &told.ids[0];
            let of = |what: &str| {
                kept.iter()
                    .filter(|it| it.action == what && it.subjects.first() == Some(id))
                    .collect::<Vec<_>>()
            };
            let story = || format!("{told:?} {:?} {:?}", of("pause"), of("resume"));
            let state = self.world.recording(id);
            let pause_fence = of("pause").iter().map(|it| it.fence).min();
            let later_resume = of("resume").iter().any(|it| Some(it.fence) > pause_fence);
            match told.what {
                // No resume follows it.
                NATIVE if acked(told) && state != "PAUSED" => {
                    faults.push(format!("a pause is lost: {}", story()));
                }
                "pause" if acked(told) && !later_resume && state != "PAUSED" => {
                    faults.push(format!("a pause is lost: {}", story()));
                }
                "resume"
                    if acked(told)
                        && !self.native.contains(id)
                        && of("pause").iter().all(|it| !later_than(it, &of("resume")))
                        && state != "ACTIVE" =>
                {
                    faults.push(format!("a resume is lost: {}", story()));
                }
                "release" => {
                    let world = self.world.state();
                    let released =
                        told.ids.iter().filter(|id| world.released.contains(*id)).count();
                    let all = told.ids.len();
                    let rolled_back =
                        told.body["message"].as_str().is_some_and(|it| it.contains("rolled back"));
                    if acked(told) && released != all {
                        faults.push(format!("an acknowledged release is undone: {told:?}"));
                    }
                    if rolled_back && released != 0 {
                        faults.push(format!("a release is not rolled back: {told:?}"));
                    }
                }
                _ => {}
            }
        }
        let world = self.world.state();
        for deed in &world.deeds {
            if deed.token == RECOVERY && matches!(&*deed.what, "ACTIVE" | "release") {
                faults.push(format!("the recovery account went the wrong way: {deed:?}"));
            }
            // On one gateway a pause that needs no adapting may do without one.
            let free = deed.what == "PAUSED" && self.native.contains(&deed.subject);
            if deed.token != RECOVERY
                && !free
                && !kept.iter().any(|it| it.subjects.contains(&deed.subject))
            {
                faults.push(format!("no record of {deed:?}"));
            }
        }
        for it in kept {
            if it.outcomes.len() != 1 {
                faults.push(format!("not one outcome: {it:?}"));
            }
            if it.action == "release"
                && it.outcomes == ["rolled-back"]
                && it.subjects.iter().any(|id| world.released.contains(id))
            {
                faults.push(format!("rolled back, and released: {it:?}"));
            }
        }
        drop(world);
        for it in kept.iter().filter(|it| it.action == "pause" && it.outcomes == ["done"]) {
            let resumed = kept.iter().any(|other| {
                other.action == "resume" && other.subjects == it.subjects && other.fence > it.fence
            });
            if !resumed && self.world.recording(&it.subjects[0]) != "PAUSED" {
                faults.push(format!("done, and not paused: {it:?}"));
            }
        }
        faults
    }
}

fn later_than(pause: &Kept, resumes: &[&Kept]) -> bool {
    resumes.iter().all(|resume| pause.fence > resume.fence)
}

/// Looks at everything on the admin side, as far as it answers.
async fn pages(recgate: &Recgate, search: &mut Search) {
    let client = http().build().unwrap();
    for path in
        ["/metrics", "/", "/ledger", "/findings", "/coverage", "/clients", "/hooks/deliveries"]
    {
        if recgate.has_ended() {
            return;
        }
        let url = format!("http://{}{path}", recgate.admin);
        let Ok(answer) = client.get(url).send().await else { return };
        let place = if path == "/metrics" { Place::Metrics } else { Place::Admin };
        search.look(place, answer.bytes().await.unwrap_or_default());
    }
}

/// The lives of one lane: each mark so often, and so many at random.
async fn lane(on: On, number: usize, each: usize, random: usize) -> Past {
    let mut lane = Lane::new(on, number, Search::for_canaries()).await;
    for round in 0..each {
        for (at, mark) in Mark::ALL.into_iter().enumerate() {
            if matches!(mark, Mark::RecoveryBegun | Mark::RecoveryAnswered) {
                // Something has to be left to recover.
                lane.live(Some(Mark::CommandReady)).await;
            }
            lane.live(Some(mark)).await;
            if (at + round) % Mark::ALL.len() < random / each.max(1) {
                lane.live(None).await;
            }
        }
    }
    // Some marks are passed by one side of a race only.
    for _ in 0..each.max(3) {
        let few = |count: usize| count < each.div_ceil(2);
        let missed: Vec<Mark> =
            lane.at.iter().filter(|(_, count)| few(*count)).map(|(mark, _)| *mark).collect();
        for mark in missed {
            lane.live(Some(mark)).await;
        }
    }
    lane.end().await
}

#[rstest]
#[case::sqlite(On::Sqlite, times(3, 8), times(3, 64))]
#[case::postgres(On::Postgres, times(3, 8), times(1, 64))]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_kills(#[case] on: On, #[case] lanes: usize, #[case] random: usize) {
    // 22 marks and 2 preparations: a round of a lane is 24 lives and those at random.
    let each = times(1, 8);
    let mut running = JoinSet::new();
    for number in 0..lanes {
        running.spawn(lane(on, number, each, random));
    }
    let (mut sum, mut faults) = (Figures::default(), Vec::new());
    let (mut at, mut search) = (Mark::ALL.map(|mark| (mark, 0)), Search::for_canaries());
    while let Some(done) = running.join_next().await {
        let past = done.unwrap();
        sum.kills += past.figures.kills;
        sum.at_marks += past.figures.at_marks;
        sum.acks += past.figures.acks;
        sum.finished += past.figures.finished;
        sum.unknown += past.figures.unknown;
        sum.lost += past.figures.lost;
        at.iter_mut().zip(past.at).for_each(|(all, one)| all.1 += one.1);
        faults.extend(past.faults);
        search.add(past.search);
    }
    let found: Vec<&String> = search.hits.values().flatten().collect();
    println!(
        "kills ({on:?}): {} ({} at marks), acks: {}, finished: {}, declared unknown: {}, lost: {}\n\
         {at:?}\nkills ({on:?}): canaries found: {}, bytes searched: {:?}",
        sum.kills,
        sum.at_marks,
        sum.acks,
        sum.finished,
        sum.unknown,
        sum.lost,
        found.len(),
        search.bytes
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found.is_empty(), "{found:#?}");
    assert_eq!(search.unseen(), [], "nothing was there to be searched");
    // Each mark was hit: a mark that no workload passes proves nothing.
    let least = (lanes * each / 3).clamp(1, 20);
    let missed: Vec<_> = at.iter().filter(|(_, count)| *count < least).collect();
    assert!(missed.is_empty(), "reached less than {least} times: {missed:?}");
}

/// The search finds, in each place, what does stand there: an upstream's name, a conversation's id,
/// the id of a change, and the name of a counter.
#[rstest]
#[case::sqlite(On::Sqlite)]
#[case::postgres(On::Postgres)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_planted_is_found(#[case] on: On) {
    let words = [UPSTREAM, "0000feed-0001-4000", "WEM-1493", "recgate_in_flight"];
    let mut lane = Lane::new(on, 0xfeed, Search::for_words(&words)).await;
    lane.live(Some(Mark::PauseRepeated)).await;
    let past = lane.end().await;
    assert!(past.faults.is_empty(), "{:#?}", past.faults);
    let found: Vec<Place> = past.search.hits.keys().copied().collect();
    assert_eq!(found, PLACES);
}
