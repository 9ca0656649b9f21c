//! A rehearsal for a person at a terminal: it makes sense without colour and in a pipe, and what
//! matters comes last.

use std::fmt::{self, Write};

use super::compare::{Difference, Of};
use super::report::{Cause, Conclusion, Judged, LaneShown, Rehearsed, Report};

/// Which calls are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// All.
    All,
    /// Those in which some lane differs from another.
    Different,
}

/// Calls of one reason that are named; the rest is counted.
const NAMED: usize = 5;
/// Places of a body that are told of one call.
const PLACES: usize = 4;

/// Writes a rehearsal as text.
#[must_use]
pub fn write(report: &Report, which: Which) -> String {
    let mut out = String::new();
    // Writing into a `String` never fails.
    let _ = all(&mut out, report, which);
    out
}

// === impl Rehearsed ===

impl Rehearsed {
    /// Whether some lane differs from another.
    #[must_use]
    pub fn is_different(&self) -> bool {
        !matches!(self.conclusion, Conclusion::Same | Conclusion::Beside)
            || !self.vendor_changed.is_empty()
    }
}

fn all(out: &mut String, report: &Report, which: Which) -> fmt::Result {
    writeln!(out, "before   straight to the vendor on {}", report.before)?;
    writeln!(out, "after    straight to the vendor on {}", report.after)?;
    writeln!(out, "recgate  through recgate to the vendor on {}", report.after)?;
    let mut group = None;
    let mut hidden = 0;
    for call in &report.calls {
        if which == Which::Different && !call.is_different() {
            hidden += 1;
            continue;
        }
        if call.group.is_some() && call.group != group {
            group.clone_from(&call.group);
            writeln!(out, "\n=== {} ===", group.as_deref().unwrap_or_default())?;
        }
        one(out, call)?;
    }
    if hidden > 0 {
        writeln!(out, "\n{hidden} calls in which no lane differs are not shown")?;
    }
    left_out(out, report)?;
    totals(out, report)
}

fn one(out: &mut String, call: &Rehearsed) -> fmt::Result {
    let name = if call.name.is_empty() { &call.place } else { &call.name };
    writeln!(out, "\n#{} {name}", call.call)?;
    let caller = call.caller.as_ref().map_or_else(String::new, |it| format!(" as {it}"));
    writeln!(out, "  {} {}{caller}", call.method, call.target)?;
    writeln!(out, "  client {}, as of {}", call.client, call.as_of)?;
    lane(out, "before", &call.before)?;
    lane(out, "after", &call.after)?;
    lane(out, "recgate", &call.recgate)?;
    let sent = match &*call.recgate.sent {
        [] => "nothing".to_owned(),
        sent => sent.join(", "),
    };
    writeln!(out, "    reached the vendor: {sent}")?;
    if !call.vendor_changed.is_empty() {
        writeln!(out, "  the vendor changed")?;
        lines(out, "    ", call.vendor_changed.iter())?;
    }
    match call.conclusion {
        Conclusion::Same => writeln!(out, "  the client gets the same"),
        Conclusion::Beside => writeln!(out, "  the client gets the same, and headers beside it"),
        Conclusion::Announced => writeln!(out, "  the client gets something else, as announced"),
        Conclusion::Follows => {
            writeln!(out, "  the client gets something else, after an earlier call")
        }
        Conclusion::Unannounced => {
            writeln!(out, "  NOT ANNOUNCED: the client gets something else")
        }
    }?;
    causes(out, &call.client_sees)
}

fn lane(out: &mut String, name: &str, lane: &LaneShown) -> fmt::Result {
    let status = lane.status.map_or_else(|| "---".to_owned(), |it| it.to_string());
    write!(out, "  {name:<8} {status}  {:<8} {:<15}", lane.body, lane.verdict)?;
    let Some((first, more)) = lane.world.split_first() else {
        return writeln!(out, " nothing changed");
    };
    writeln!(out, " {first}")?;
    more.iter().try_for_each(|moved| writeln!(out, "{:41}{moved}", ""))
}

/// Differences, and under those of one cause the cause; what nothing announces comes first.
fn causes(out: &mut String, sees: &[Judged]) -> fmt::Result {
    let mut causes: Vec<&Cause> = Vec::new();
    for judged in sees {
        if !causes.contains(&&judged.cause) {
            causes.push(&judged.cause);
        }
    }
    causes.sort_by_key(|cause| match cause {
        Cause::Unannounced => 0,
        Cause::Follows { .. } => 1,
        Cause::Announced { .. } => 2,
    });
    for cause in causes {
        match cause {
            Cause::Announced { by, setting, why } => {
                writeln!(out, "    {by}, {setting}: {why}")?;
            }
            Cause::Follows { call } => writeln!(out, "    follows from #{call}")?,
            Cause::Unannounced => writeln!(out, "    nothing in the client's terms says so")?,
        }
        let of_it = sees.iter().filter(|judged| judged.cause == *cause);
        lines(out, "      ", of_it.map(|judged| &judged.difference))?;
    }
    Ok(())
}

/// A line a difference; of a body's many places the first.
fn lines<'d>(
    out: &mut String,
    indent: &str,
    differences: impl Iterator<Item = &'d Difference>,
) -> fmt::Result {
    let mut places = 0_usize;
    for difference in differences {
        if matches!(difference.of, Of::Body { .. }) {
            places += 1;
        }
        if matches!(difference.of, Of::Body { .. }) && places > PLACES {
            continue;
        }
        writeln!(out, "{indent}{}", told(difference))?;
    }
    match places.saturating_sub(PLACES) {
        0 => Ok(()),
        more => writeln!(out, "{indent}body: {more} more places"),
    }
}

fn told(difference: &Difference) -> String {
    match &difference.of {
        Of::Header { name } if difference.is_added_header() => {
            format!("header {name}: {}", difference.to)
        }
        _ => difference.to_string(),
    }
}

fn left_out(out: &mut String, report: &Report) -> fmt::Result {
    for (reason, calls) in report.reasons() {
        writeln!(out, "\nnot rehearsed, {}: {reason}", calls.len())?;
        for call in calls.iter().take(NAMED) {
            writeln!(out, "  {} {}", call.place, call.call)?;
        }
        if calls.len() > NAMED {
            writeln!(out, "  and {} more", calls.len() - NAMED)?;
        }
    }
    Ok(())
}

fn totals(out: &mut String, report: &Report) -> fmt::Result {
    let totals = report.totals;
    let unannounced: Vec<String> = report
        .calls
        .iter()
        .filter(|call| call.conclusion == Conclusion::Unannounced)
        .map(|call| format!("#{}", call.call))
        .collect();
    writeln!(out)?;
    for (count, words) in [
        (totals.same, "the client gets the same"),
        (totals.beside, "the client gets the same, and headers beside it that its terms announce"),
        (totals.announced, "the client gets something else, and its terms say so"),
        (totals.follows, "the client gets something else after an earlier call"),
        (totals.unannounced, "the client gets something else, and nothing says so"),
        (totals.not_rehearsed, "not rehearsed"),
    ] {
        if count > 0 {
            writeln!(out, "{count:>6}  {words}")?;
        }
    }
    if !unannounced.is_empty() {
        writeln!(out, "        {}", unannounced.join(", "))?;
    }
    Ok(())
}
