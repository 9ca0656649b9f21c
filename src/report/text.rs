//! An outcome for a person at a terminal: it makes sense without colour, and what matters comes
//! last, where the eye is.

use std::fmt::{self, Write};

use super::coverage::{ShownContract, ShownOperation};
use super::findings::Shown;
use super::outcome::{Outcome, Tally, reasons};
use crate::contract::OneLine;

/// Writes an outcome as text.
#[must_use]
pub fn write(outcome: &Outcome) -> String {
    let mut out = String::new();
    // Writing into a `String` never fails.
    let _ = all(&mut out, outcome);
    out
}

fn all(out: &mut String, outcome: &Outcome) -> fmt::Result {
    for contract in &outcome.coverage.contracts {
        coverage(out, contract)?;
    }
    writeln!(
        out,
        "{:<20}{:>10}{:>10}{:>14}{:>16}",
        "hop", "conforms", "violates", "unverifiable", "not-applicable"
    )?;
    for (hop, tally) in &outcome.verdicts {
        verdicts(out, hop.as_str(), tally)?;
    }
    for shown in &outcome.findings {
        finding(out, shown)?;
    }
    let totals = outcome.coverage.totals;
    writeln!(
        out,
        "\n{} in {}: {} broken, {}; {} of them belong to no upstream; coverage {:.2} % ({} of {} \
         declared answers)",
        plural(outcome.entries, "exchange"),
        plural(outcome.files.len() as u64, "file"),
        outcome.violating(),
        plural(outcome.findings.len() as u64, "kind of finding"),
        outcome.unmatched,
        totals.percent,
        totals.seen,
        totals.declared,
    )?;
    if outcome.beside > 0 {
        writeln!(
            out,
            "{} answered by the gateway itself or tunnelled: no contract is asked",
            plural(outcome.beside, "exchange")
        )?;
    }
    Ok(())
}

fn coverage(out: &mut String, contract: &ShownContract) -> fmt::Result {
    let totals = contract.totals;
    writeln!(
        out,
        "{} ({}): {} of {} declared answers seen",
        contract.upstream, contract.holds, totals.seen, totals.declared
    )?;
    let called = contract.operations.iter().filter(|it| it.exchanges > 0);
    for operation in called {
        covered(out, operation)?;
    }
    let never = contract.operations.iter().filter(|it| it.exchanges == 0).count();
    if never > 0 {
        writeln!(out, "  {} never called", plural(never as u64, "operation"))?;
    }
    for unknown in &contract.unknown_operations {
        writeln!(
            out,
            "  {} {}  called {}, not in the contract",
            unknown.method,
            unknown.path,
            times(unknown.count)
        )?;
    }
    if contract.unknown_more > 0 {
        writeln!(
            out,
            "  {} calls of other operations, not in the contract",
            contract.unknown_more
        )?;
    }
    writeln!(out)
}

fn covered(out: &mut String, operation: &ShownOperation) -> fmt::Result {
    let kind = |media_type: Option<&String>| {
        media_type.map_or_else(String::new, |media_type| format!(" {media_type}"))
    };
    writeln!(out, "  {}  called {}", operation.operation, times(operation.exchanges))?;
    let list = |seen: bool| {
        let declared = operation.declared.iter().filter(|it| (it.count > 0) == seen);
        let parts: Vec<String> = declared
            .map(|it| match it.count {
                0 => format!("{}{}", it.status, kind(it.media_type.as_ref())),
                count => format!("{}{} × {count}", it.status, kind(it.media_type.as_ref())),
            })
            .collect();
        parts.join(", ")
    };
    for (words, list) in [("seen", list(true)), ("never seen", list(false))] {
        if !list.is_empty() {
            writeln!(out, "    {words}: {list}")?;
        }
    }
    for it in &operation.undeclared {
        let kind = kind(it.media_type.as_ref());
        writeln!(out, "    not declared: {}{kind} × {}", it.status, it.count)?;
    }
    if operation.undeclared_more > 0 {
        writeln!(out, "    not declared: {} more", operation.undeclared_more)?;
    }
    Ok(())
}

fn verdicts(out: &mut String, hop: &str, tally: &Tally) -> fmt::Result {
    let unverifiable: u64 = tally.unverifiable.values().sum();
    write!(
        out,
        "{hop:<20}{:>10}{:>10}{unverifiable:>14}{:>16}",
        tally.conforms, tally.violates, tally.not_applicable
    )?;
    if unverifiable > 0 {
        write!(out, "    unverifiable: {}", reasons(&tally.unverifiable))?;
    }
    writeln!(out)
}

fn finding(out: &mut String, shown: &Shown) -> fmt::Result {
    let kind = &shown.kind;
    writeln!(
        out,
        "\n{} {}  {} {}  {}",
        kind.code,
        kind.keyword,
        kind.hop.as_str(),
        kind.operation,
        times(shown.count)
    )?;
    let pointer = if kind.pointer.is_empty() { "" } else { " " };
    writeln!(out, "  at        {}{pointer}{}", kind.location, OneLine(&kind.pointer))?;
    writeln!(out, "  expected  {}", kind.expected)?;
    match &kind.position {
        Some(position) => writeln!(out, "  rule      {position}  {}", kind.spec_pointer)?,
        None => writeln!(out, "  rule      {}", kind.spec_pointer)?,
    }
    writeln!(out, "  blame     {} ({})", kind.blame.as_str(), kind.upstream)?;
    match shown.exemplars.first() {
        Some(first) => writeln!(out, "  first in  {}", first.exchange),
        None => Ok(()),
    }
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn plural(count: u64, word: &str) -> String {
    match (count, word.split_once(' ')) {
        (1, _) => format!("1 {word}"),
        (_, Some((first, rest))) => format!("{count} {first}s {rest}"),
        (_, None) => format!("{count} {word}s"),
    }
}
