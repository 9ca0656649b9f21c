//! Many seeded rounds: pauses and resumes of one conversation, interleaved from many connections,
//! some retried and some late. The last one that was admitted wins.

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{
    Command, DEE, ELI, Form, MEDIA, SHORT_WATCH, all_quiet, answered, conversation, impatient,
    states_put,
};
use crate::harness::{Recgate, http, until};

/// Resumes at the end of a round.
const CRM: &str = "crm-service";
/// The latest that a call of a round takes effect, in milliseconds after it came.
const LATEST_MS: i64 = 1_100;

/// A generator of rounds that a seed makes again.
struct Seeded(u64);

// === impl Seeded ===

impl Seeded {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// Faults for one operation. Those of pauses, and of the last resume of a round, stay inside their
/// patience; those of other resumes may outlast it and take effect when nobody waits any more.
fn troubles(random: &mut Seeded, operation: &str) -> Vec<Value> {
    let mut faults = Vec::new();
    for principal in [DEE, ELI, CRM] {
        for _ in 0..random.below(3) {
            let delay = 20 + 60 * random.below(5);
            let mut fault = match random.below(7) {
                0 => json!({ "status": 503 }),
                1 => json!({ "status": 429, "retryAfter": 0 }),
                2 => json!({ "delayMs": delay }),
                3 => json!({ "delayMs": delay, "delayBefore": "answer" }),
                4 => json!({ "delayMs": delay, "cut": true }),
                5 if principal == ELI => json!({ "delayMs": LATEST_MS, "count": 4 }),
                _ if principal == ELI => json!({ "delayMs": LATEST_MS }),
                _ => json!({ "cut": true, "effect": false }),
            };
            fault["operation"] = operation.into();
            fault["principal"] = principal.into();
            faults.push(fault);
        }
    }
    faults
}

/// Rounds for nine conversations at once: in each, commands of every form from many connections,
/// interleaved, retried and late; then one last command, sent when all others have been admitted.
async fn the_last_command_wins(seed: u64, steps: usize) {
    // Resumes but the last are given up early, so that their outcome is unknown and their effect
    // late.
    // Half of the calls fail here: they may be tried again more often than a tenth.
    let budget = ["upstream.genesys.retry.floor=10_000", "upstream.genesys.breaker.failures=0"];
    let recgate =
        Recgate::built_in(&[SHORT_WATCH, &impatient(ELI, 900), budget[0], budget[1]]).await;
    let mock = recgate.mock();
    let clients = [http().build().unwrap(), http().http2_prior_knowledge().build().unwrap()];
    let mut random = Seeded(seed);
    let mut admitted = 0.0;
    let (mut superseded, mut unanswered) = (0, 0);
    for step in 0..steps {
        mock.reset().await;
        let mut faults: Vec<Value> = MEDIA
            .iter()
            .flat_map(|(_, name)| {
                troubles(&mut random, &format!("putConversations{name}Recordingstate"))
            })
            .collect();
        faults.extend(troubles(&mut random, "patchConversationRecordingstate"));
        mock.faults(Value::Array(faults)).await;

        let mut early = JoinSet::new();
        for _ in 0..4 {
            for number in 1..=9 {
                if random.below(4) == 0 {
                    continue;
                }
                let form = [Form::Legacy, Form::Put, Form::Agnostic][random.below(3)];
                let command = match random.below(2) {
                    0 => Command::pause(form, number),
                    _ => Command::resume(form, number),
                };
                early.spawn(answered(command.send(&clients[random.below(2)], &recgate)));
                admitted += 1.0;
            }
        }
        // Hop 1 is judged in the same breath in which a command is admitted.
        let judged = ["hop=\"client-request\""];
        until("the admission of every early command", || async {
            (recgate.metric("recgate_verdicts_total", &judged).await >= admitted).then_some(())
        })
        .await;
        // Both event loops have turned since.
        for _ in 0..8 {
            let answer = http().build().unwrap().get(recgate.url("/nobody")).send().await.unwrap();
            assert_eq!(answer.status(), 404);
        }
        let mut last = Vec::new();
        for number in 1..=9 {
            let form = [Form::Legacy, Form::Put][random.below(2)];
            let command = match random.below(2) {
                0 => Command::pause(form, number),
                _ => Command { token: CRM, ..Command::resume(form, number) },
            };
            last.push((command, command.send(&clients[random.below(2)], &recgate)));
            admitted += 1.0;
        }
        let mut wanted = Vec::new();
        for (command, task) in last {
            let answer = answered(task).await;
            let status = answer.status();
            assert!(status.is_success(), "seed {seed:#x} step {step}: {command:?} got {status}");
            wanted.push(command);
        }
        while let Some(answer) = early.join_next().await {
            match answer.unwrap().status().as_u16() {
                200 | 202 => {}
                409 => superseded += 1,
                502..=504 | 429 => unanswered += 1,
                other => panic!("seed {seed:#x} step {step}: an early command got {other}"),
            }
        }
        all_quiet(&recgate).await;
        // A call that was given up, or cut, may still take effect for as long as its delay.
        until("the last effect at the mock", || async {
            let journal = mock.journal().await;
            let past = |it: &Value| {
                let at: jiff::Timestamp = it["at"].as_str().unwrap().parse().unwrap();
                !it["status"].is_null()
                    || jiff::Timestamp::now().as_millisecond() - at.as_millisecond()
                        > LATEST_MS + 400
            };
            journal.iter().all(past).then_some(())
        })
        .await;
        let state = mock.state().await;
        for command in wanted {
            let found = &state["conversations"][conversation(command.number)]["recordingState"];
            let calls = states_put(&mock, command).await;
            assert_eq!(found, command.state, "seed {seed:#x} step {step}: {command:?}: {calls:?}");
        }
    }
    println!(
        "seed {seed:#x}: {} rounds, {superseded} superseded, {unanswered} without an answer",
        steps * 9
    );
    recgate.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_admitted_command_wins() {
    let mut gateways = JoinSet::new();
    for seed in [0x5EED_0001, 0x5EED_0002, 0x5EED_0003] {
        gateways.spawn(the_last_command_wins(seed, 6));
    }
    while let Some(done) = gateways.join_next().await {
        done.unwrap();
    }
}
