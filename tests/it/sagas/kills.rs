//! `kill -9` at every mark of both sagas and at random, and a start on the same SQLite file.
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
//! - every change of the world by a client's token has an intent, every intent exactly one closing
//!   outcome, and `recgate ledger verify` finds nothing missing or out of order;
//! - what the ledger calls done is so in the world.

use std::time::Duration;

use recgate::change::mark::Mark;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::world::{Trouble, World};
use super::{Kept, Seeded, config, intents, ledger, quiet, sqlite, times};
use crate::harness::{PATIENCE, Recgate, http, until};

/// What was answered to a client.
#[derive(Clone, Debug)]
struct Told {
    what: &'static str,
    ids: Vec<String>,
    status: u16,
    body: Value,
}

#[derive(Clone, Copy, Debug, Default)]
struct Figures {
    kills: usize,
    at_marks: usize,
    acks: usize,
    finished: usize,
    unknown: usize,
    lost: usize,
}

/// A lane: one ledger file, one world, life after life.
struct Lane {
    world: World,
    config: String,
    random: Seeded,
    number: usize,
    lives: usize,
    told: Vec<Told>,
    figures: Figures,
    at: Vec<(Mark, usize)>,
}

// === impl Lane ===

impl Lane {
    async fn new(number: usize) -> Self {
        let world = World::new().await;
        let config = config(&world, &sqlite(), "");
        let (told, at) = (Vec::new(), Mark::ALL.map(|mark| (mark, 0)).to_vec());
        let (random, figures) = (Seeded::new(number as u64 + 77), Figures::default());
        Self { world, config, random, number, lives: 0, told, figures, at }
    }

    fn id(&self, kind: usize, item: usize) -> String {
        format!("{:08x}-{:04x}-4000-8000-{kind:08x}{item:04x}", self.number, self.lives)
    }

    /// One life, that ends at the mark or by a signal.
    async fn live(&mut self, mark: Option<Mark>) {
        self.lives += 1;
        // The ledger passes its marks with every command, also when it starts.
        let most = match mark {
            Some(Mark::LedgerCommitting | Mark::LedgerCommitted) => 12,
            Some(Mark::PutAnswered | Mark::CommandAdmitted | Mark::CommandIntended) => 5,
            Some(Mark::CommandReady | Mark::CommandSettled | Mark::ReadingBack) => 4,
            _ => 1,
        };
        let named = mark.map(|mark| format!("{mark:?}:{}", 1 + self.random.below(most)));
        let started = Recgate::start_marked(Some(&self.config), &[], named.as_deref()).await;
        let by_itself = match started {
            Err(_) => true,
            Ok(recgate) => {
                self.work(&recgate, mark).await;
                let by_itself = recgate.has_ended();
                recgate.kill().await;
                by_itself
            }
        };
        self.figures.kills += 1;
        if let Some(mark) = mark.filter(|_| by_itself) {
            self.figures.at_marks += 1;
            self.at.iter_mut().filter(|(it, _)| *it == mark).for_each(|(_, count)| *count += 1);
        }
    }

    /// Every way through both sagas at once, until all is answered or the process is gone.
    async fn work(&mut self, recgate: &Recgate, mark: Option<Mark>) {
        let client = http().build().unwrap();
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
        let late = Trouble { before: Duration::from_millis(900), ..Trouble::default() };
        self.world.trouble(&conversation(4), "ACTIVE", late);

        let (base, number) = (recgate.url(""), self.lives);
        let set = |id: String, state: &'static str, kind: usize| {
            let (client, base) = (client.clone(), base.clone());
            async move {
                let url = format!("{base}/api/v2/conversations/calls/{id}");
                let request = client.patch(url).bearer_auth(format!("client-{number}-{kind}"));
                let request = request.json(&json!({ "recordingState": state }));
                answered(if state == "paused" { "pause" } else { "resume" }, vec![id], request)
                    .await
            }
        };
        let release = |ids: Vec<String>| {
            let url = format!("{base}/api/v2/recordings/deletionprotection?protect=false");
            let request = client.put(url).bearer_auth("client-r");
            let request = request.json(&json!({ "conversationIds": ids }));
            answered("release", ids, request)
        };
        let mut tasks: JoinSet<Vec<Told>> = JoinSet::new();
        for kind in [1, 2, 7] {
            let one = set(conversation(kind), "paused", kind);
            tasks.spawn(async move { one.await.into_iter().collect() });
        }
        let (first, second) =
            (set(conversation(3), "paused", 3), set(conversation(3), "active", 3));
        tasks.spawn(async move {
            let Some(first) = first.await else { return Vec::new() };
            std::iter::once(first).chain(second.await).collect()
        });
        let resume = set(conversation(4), "active", 4);
        tasks.spawn(async move { resume.await.into_iter().collect() });
        let pause = set(conversation(4), "paused", 4);
        tasks.spawn(async move {
            tokio::time::sleep(Duration::from_millis(60)).await;
            pause.await.into_iter().collect()
        });
        for kind in [5, 6] {
            let one = release(ids(kind));
            tasks.spawn(async move { one.await.into_iter().collect() });
        }
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
            // What is behind the answers, for the marks there.
            let last = if watched { 1_500 } else { 100 };
            for _ in 0..last / 20 {
                if recgate.has_ended() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            told
        } else {
            let kill = async {
                tokio::time::sleep(moment).await;
                recgate.signal("-KILL");
            };
            let (told, ()) = tokio::join!(told, kill);
            told
        };
        self.figures.acks += told.iter().filter(|it| (200..300).contains(&it.status)).count();
        self.told.extend(told);
    }

    /// The last life, and the judgement.
    async fn end(mut self) -> (Figures, Vec<(Mark, usize)>, Vec<String>) {
        let recgate = Recgate::with_config(&self.config).await;
        until("an outcome of every intent", || async {
            let open = intents(&self.config).await.iter().any(|it| it.outcomes.is_empty());
            (!open).then_some(())
        })
        .await;
        quiet(&recgate).await;
        recgate.stop().await;
        let kept = ledger(&self.config).await;
        let faults = self.faults(&kept);
        self.figures.finished = kept.iter().filter(|it| it.outcomes.len() == 1).count();
        self.figures.unknown = kept.iter().filter(|it| it.outcomes == ["unknown"]).count();
        self.figures.finished -= self.figures.unknown;
        self.figures.lost = faults.len();
        (self.figures, self.at, faults)
    }

    fn faults(&self, kept: &[Kept]) -> Vec<String> {
        let mut faults = Vec::new();
        let acked = |told: &Told| (200..300).contains(&told.status);
        for told in &self.told {
            let id = &told.ids[0];
            let of = |what: &str| {
                kept.iter()
                    .filter(|it| it.action == what && it.subjects[0] == *id)
                    .collect::<Vec<_>>()
            };
            let story = || format!("{told:?} {:?} {:?}", of("pause"), of("resume"));
            let state = self.world.recording(id);
            let pause_fence = of("pause").iter().map(|it| it.fence).min();
            let later_resume = of("resume").iter().any(|it| Some(it.fence) > pause_fence);
            match told.what {
                "pause" if acked(told) && !later_resume && state != "PAUSED" => {
                    faults.push(format!("a pause is lost: {}", story()));
                }
                "resume"
                    if acked(told)
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
            if deed.token == "recovery" && matches!(&*deed.what, "ACTIVE" | "release") {
                faults.push(format!("the recovery account went the wrong way: {deed:?}"));
            }
            if deed.token != "recovery"
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

/// The answer; nothing where the process died first.
async fn answered(
    what: &'static str,
    ids: Vec<String>,
    request: reqwest::RequestBuilder,
) -> Option<Told> {
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    let bytes = answer.bytes().await.ok()?;
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Some(Told { what, ids, status, body })
}

/// The lives of one lane: each mark so often, and so many at random.
async fn lane(
    number: usize,
    each: usize,
    random: usize,
) -> (Figures, Vec<(Mark, usize)>, Vec<String>) {
    let mut lane = Lane::new(number).await;
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
    lane.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_by_kills() {
    // 22 marks and 2 preparations: a round of a lane is 24 lives and those at random.
    let (lanes, each, random) = (times(3, 8), times(1, 8), times(3, 64));
    let mut running = JoinSet::new();
    for number in 0..lanes {
        running.spawn(lane(number, each, random));
    }
    let (mut sum, mut faults) = (Figures::default(), Vec::new());
    let mut at = Mark::ALL.map(|mark| (mark, 0));
    while let Some(done) = running.join_next().await {
        let (figures, marks, found) = done.unwrap();
        sum.kills += figures.kills;
        sum.at_marks += figures.at_marks;
        sum.acks += figures.acks;
        sum.finished += figures.finished;
        sum.unknown += figures.unknown;
        sum.lost += figures.lost;
        at.iter_mut().zip(marks).for_each(|(all, one)| all.1 += one.1);
        faults.extend(found);
    }
    println!(
        "kills: {} ({} at marks), acks: {}, finished: {}, declared unknown: {}, lost: {}\n{at:?}",
        sum.kills, sum.at_marks, sum.acks, sum.finished, sum.unknown, sum.lost
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    // Each mark was hit: a mark that no workload passes proves nothing.
    let missed: Vec<Mark> =
        at.iter().filter(|(_, count)| *count == 0).map(|(mark, _)| *mark).collect();
    assert!(missed.is_empty(), "never reached: {missed:?}");
}
