//! Rehearsal: what becomes of calls on the day the vendor changes, before that day comes.
//!
//! ```text
//!  before   client ───────────────────► mock on the first day
//!  after    client ───────────────────► mock on the second day
//!  recgate  client ──► gateway ───────► mock on the second day
//! ```
//!
//! Every call runs in three lanes, through real sockets, each lane with a world of its own
//! (`lane`). Of each the client's side is kept (status, body, headers, the verdict of the contract
//! of the client's day) and the world's side, read from the mock's control plane and not from its
//! answers. What the third lane does otherwise than the first is held against what the client's
//! terms announce ([`crate::change::announced`]): a rehearsal passes where there is nothing else.
//!
//! Assumes that the mock plays the vendor well enough (docs/mock.md says what of it is a guess);
//! refuses to call a rehearsal passed in which nothing ran.
//!
//! **Architecture invariant:** this room stands above [`crate::gateway`] and [`crate::mock`], as
//! [`crate::cli`] does, and neither knows it; no lane calls anything but its own mock.

mod answer;
mod call;
mod compare;
mod cue;
mod error;
mod lane;
mod report;
pub mod scenario;
pub mod text;
mod world;

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use jiff::civil::Date;
use tokio::runtime::Runtime;

pub use self::call::Call;
pub use self::compare::{Difference, Of};
pub use self::error::RehearseError;
pub use self::report::{Cause, Conclusion, Judged, LaneShown, NotRehearsed, Rehearsed, Report};
pub use self::world::{Fact, Moved};

use self::call::TRIGGERS;
use self::compare::differences;
use self::cue::{Cue, Played, unlike};
use self::lane::{FaultsError, Lane};
use self::report::{Source, sent_words};
use self::scenario::{Group, Scenario, Start};
use crate::config::Config;
use crate::contract::ContractDate;
use crate::dialect::Dialect;
use crate::gateway::hooks;
use crate::gateway::recorded::Examiner;
use crate::limits::REHEARSE_CALLS;
use crate::mock::Mock;
use crate::report::outcome::Examined;
use crate::report::{Coverage, Findings, har};

/// The two days of a rehearsal; the first lies before the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dates {
    /// The day of the first lane.
    pub before: Date,
    /// The day of the other two.
    pub after: Date,
}

/// A rehearsal under way.
pub struct Rehearsal {
    runtime: Runtime,
    config: Config,
    dates: Dates,
    examiner: Examiner,
    /// The configured world: its file and its text.
    world: Option<(String, String)>,
    stage: Option<Stage>,
    report: Report,
    on_call: Box<dyn FnMut(usize)>,
}

/// Three lanes that share a beginning.
struct Stage {
    /// The same world once more, to ask who is in it.
    roster: Mock,
    before: Lane,
    after: Lane,
    through: Lane,
    /// Facts that are not the same in the first and the third lane, and since which call.
    diverged: BTreeMap<Fact, usize>,
}

// === impl Dates ===

impl FromStr for Dates {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            || "two days, the first before the second, such as 2026-09-20,2026-09-21".to_owned();
        let day = |text: &str| match text.parse() {
            Ok(ContractDate::On(day)) => Ok(day),
            _ => Err(wanted()),
        };
        let (before, after) = text.split_once(',').ok_or_else(wanted)?;
        let (before, after) = (day(before)?, day(after)?);
        if before < after { Ok(Self { before, after }) } else { Err(wanted()) }
    }
}

// === impl Rehearsal ===

impl Rehearsal {
    /// A rehearsal of this configuration. `on_call` is told the number of every call that has run.
    pub fn new(
        config: Config,
        dates: Dates,
        on_call: impl FnMut(usize) + 'static,
    ) -> Result<Self, RehearseError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(|error| RehearseError::machine("a runtime", error))?;
        let world = match &config.mock.world {
            None => None,
            Some(file) => {
                let name = file.display().to_string();
                let text =
                    std::fs::read_to_string(file).map_err(|error| RehearseError::Misfit {
                        place: format!("mock.world: {name}"),
                        message: format!("cannot be read: {error}"),
                    })?;
                Some((name, text))
            }
        };
        let examiner =
            Examiner::new(&config, None, None, Findings::default(), &Coverage::default())?;
        let report = Report::new(dates);
        let on_call = Box::new(on_call);
        Ok(Self { runtime, config, dates, examiner, world, stage: None, report, on_call })
    }

    /// Runs a scenario.
    pub fn scenario(&mut self, name: &str, scenario: &Scenario) -> Result<(), RehearseError> {
        let world = match &scenario.world {
            Some(text) => Some((format!("the world of {name}"), text.clone())),
            None => self.world.clone(),
        };
        self.report.begin(Source { name: name.to_owned(), title: Some(scenario.title.clone()) });
        for group in &scenario.groups {
            if group.start == Start::Anew || self.stage.is_none() {
                self.set_stage(world.as_ref())?;
            }
            self.set_up(group)?;
            self.report.begin_group(&group.name);
            for call in &group.calls {
                self.play(call, Some(scenario.vendor))?;
            }
        }
        self.clear_stage();
        Ok(())
    }

    /// Runs the calls of a HAR file, in order and in one world, as `caller` where one is named.
    pub fn har(&mut self, path: &Path, caller: Option<&str>) -> Result<(), RehearseError> {
        let world = self.world.clone();
        self.report.begin(Source { name: path.display().to_string(), title: None });
        self.set_stage(world.as_ref())?;
        let mut ended = Ok(());
        let read = har::read_file(path, |entry| {
            if ended.is_ok() {
                ended = match Call::of(entry, caller) {
                    Ok(call) => self.play(&call, None),
                    Err(unfit) => {
                        self.report.left_out(unfit.place, unfit.call, unfit.reason);
                        Ok(())
                    }
                };
            }
        });
        self.clear_stage();
        ended?;
        read?;
        Ok(())
    }

    /// What came of it all.
    #[must_use]
    pub fn finish(mut self) -> Report {
        self.clear_stage();
        std::mem::replace(&mut self.report, Report::new(self.dates))
    }

    fn set_stage(&mut self, world: Option<&(String, String)>) -> Result<(), RehearseError> {
        self.clear_stage();
        let (config, dates) = (&self.config, self.dates);
        let mock = |day| lane::mock(config, day, world);
        self.stage = Some(self.runtime.block_on(async {
            Ok::<_, RehearseError>(Stage {
                roster: mock(dates.before)?,
                before: Lane::straight(mock(dates.before)?, dates.before).await?,
                after: Lane::straight(mock(dates.after)?, dates.after).await?,
                through: Lane::through(mock(dates.after)?, dates.after, config).await?,
                diverged: BTreeMap::new(),
            })
        })?);
        Ok(())
    }

    fn clear_stage(&mut self) {
        let Some(stage) = self.stage.take() else { return };
        self.runtime.block_on(async {
            for lane in [stage.before, stage.after, stage.through] {
                lane.close().await;
            }
        });
    }

    fn set_up(&mut self, group: &Group) -> Result<(), RehearseError> {
        let Some(stage) = &mut self.stage else { return Ok(()) };
        for call in group.setup.iter().chain(&group.calls) {
            call.check_path()?;
            stage.check_caller(call)?;
        }
        self.runtime.block_on(async {
            for (lane, faults) in [
                (&mut stage.before, &group.faults_before),
                (&mut stage.after, &group.faults_after),
                (&mut stage.through, &group.faults_after),
            ] {
                for call in &group.setup {
                    // What comes after it would be about another world than the scenario's.
                    let status = lane.set_up(&call.sent(&call.target, None)).await?;
                    if !status.is_some_and(|it| it.is_success()) {
                        let got = status.map_or("nothing".to_owned(), |it| it.as_u16().to_string());
                        return Err(call.misfit(&format!(
                            "a call of `setup` has to succeed; the mock answered {got}"
                        )));
                    }
                }
                lane.set_faults(faults).await.map_err(|error| match error {
                    FaultsError::Other(error) => error,
                    FaultsError::Wrong(message) => {
                        RehearseError::Misfit { place: format!("{}: faults", group.place), message }
                    }
                })?;
            }
            Ok(())
        })
    }

    /// Runs one call in all three lanes, and judges what came of it.
    fn play(&mut self, call: &Call, vendor: Option<Dialect>) -> Result<(), RehearseError> {
        let number = self.report.next_number();
        if number > REHEARSE_CALLS {
            return Err(RehearseError::Misfit {
                place: call.place.clone(),
                message: format!("a rehearsal has at most {REHEARSE_CALLS} calls; split its input"),
            });
        }
        let line = call.line();
        if hooks::are_meant(&call.target) {
            self.report.left_out(call.place.clone(), line, TRIGGERS);
            return Ok(());
        }
        let entry = call.entry(&call.authority, &call.target, None);
        let Some(placed) = self.examiner.placed(&entry, vendor) else {
            let why = "no upstream of the configuration serves it";
            self.report.left_out(call.place.clone(), line, why);
            return Ok(());
        };
        let reason = if placed.dialect == Dialect::Problem {
            Some("the mock does not play this vendor")
        } else if placed.straight.parse::<http::Uri>().is_err() {
            Some("its path cannot be sent")
        } else {
            let entry = call.entry(&placed.host, &placed.through, None);
            let beside = matches!(self.examiner.examine(&entry), Examined::Beside);
            beside.then_some("the gateway answers it itself, or tunnels it")
        };
        if let Some(reason) = reason {
            self.report.left_out(call.place.clone(), line, reason);
            return Ok(());
        }
        let Some(stage) = &mut self.stage else { return Ok(()) };
        stage.check_caller(call)?;
        let cue = Cue { call, placed: &placed };
        let examiner = &self.examiner;
        let before = self.runtime.block_on(cue.play(&mut stage.before, None, examiner))?;
        if let Some(reason) = unlike(call, &before) {
            self.report.left_out(call.place.clone(), line, reason);
            return Ok(());
        }
        let after = self.runtime.block_on(cue.play(&mut stage.after, None, examiner))?;
        let host = Some(&*placed.host);
        let through = self.runtime.block_on(cue.play(&mut stage.through, host, examiner))?;

        let sees = cue.judge(&before, &through, &stage.diverged);
        stage.keep_diverged(number);
        let terms = &placed.terms;
        let shown = |it: &Played| LaneShown {
            status: it.outcome.shown.status,
            body: it.outcome.shown.kind(),
            verdict: it.outcome.verdict.clone(),
            world: it.outcome.moved.clone(),
            sent: sent_words(&it.calls, &placed.straight),
        };
        self.report.add(Rehearsed {
            call: number,
            place: call.place.clone(),
            group: None,
            name: call.name.clone(),
            method: call.method.to_string(),
            target: placed.straight.clone(),
            caller: call.caller.as_ref().map(|(name, _)| name.clone()),
            upstream: placed.upstream.to_string(),
            operation: before.operation.clone(),
            client: terms.client.to_string(),
            as_of: terms.as_of.to_string(),
            before: shown(&before),
            after: shown(&after),
            recgate: shown(&through),
            vendor_changed: differences(&before.outcome, &after.outcome),
            conclusion: Conclusion::of(&sees),
            client_sees: sees,
        });
        (self.on_call)(number);
        Ok(())
    }
}

impl Drop for Rehearsal {
    fn drop(&mut self) {
        self.clear_stage();
    }
}

// === impl Stage ===

impl Stage {
    fn check_caller(&self, call: &Call) -> Result<(), RehearseError> {
        match &call.caller {
            Some((name, place)) if !self.roster.knows(name) => Err(RehearseError::Misfit {
                place: place.clone(),
                message: format!("the mock's world has no principal `{name}`"),
            }),
            _ => Ok(()),
        }
    }

    /// Remembers what is not the same any more, and since when.
    fn keep_diverged(&mut self, number: usize) {
        let now = self.before.world.moved(&self.through.world);
        self.diverged = now
            .into_iter()
            .map(|it| {
                let since = self.diverged.get(&it.fact).copied().unwrap_or(number);
                (it.fact, since)
            })
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use super::Dates;

    #[test]
    fn two_days_are_two_days_in_order() {
        assert!("2022-05-17,2022-05-18".parse::<Dates>().is_ok());
        for text in [
            "",
            "2026-09-20",
            "2026-09-21,2026-09-20",
            "2026-09-20,2026-09-20",
            "2026-09-20, 2026-09-21",
            "2026-09-31,2026-10-01",
            "latest,2026-09-21",
            "2026-09-20,latest",
            "2026-09-20,2026-09-21,2026-09-22",
        ] {
            assert!(text.parse::<Dates>().is_err(), "{text}");
        }
    }
}
