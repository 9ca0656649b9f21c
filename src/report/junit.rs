//! An outcome as JUnit XML: a suite an upstream, a case an operation and status.
//!
//! A case with a broken rule fails and tells its findings. A case of which something could not be
//! checked is skipped, with the reasons: it did not pass. So is an answer that was declared and
//! never seen.

use std::io::Write as _;

use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};

use super::findings::Shown;
use super::outcome::{Case, Outcome, reasons};

/// One case, as it is written.
struct Written {
    name: String,
    state: State,
}

enum State {
    Passed,
    Skipped(String),
    Failed { message: String, text: String },
}

/// Writes an outcome as JUnit XML.
pub fn write(outcome: &Outcome) -> std::io::Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites = suites(outcome);
    let all = || suites.iter().flat_map(|(_, cases)| cases);
    xml.create_element("testsuites")
        .with_attributes(
            [
                ("name", "recgate check".to_owned()),
                ("tests", all().count().to_string()),
                ("failures", all().filter(|it| it.has_failed()).count().to_string()),
                ("skipped", all().filter(|it| it.was_skipped()).count().to_string()),
                ("errors", "0".to_owned()),
            ]
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
        )
        .write_inner_content(|xml| {
            suites.iter().try_for_each(|(name, cases)| suite(xml, name, cases))
        })?;
    xml.get_mut().write_all(b"\n")?;
    Ok(String::from_utf8_lossy(&xml.into_inner()).into_owned())
}

fn suite(xml: &mut Writer<Vec<u8>>, name: &str, cases: &[Written]) -> std::io::Result<()> {
    let failed = cases.iter().filter(|it| it.has_failed()).count().to_string();
    let skipped = cases.iter().filter(|it| it.was_skipped()).count().to_string();
    let count = cases.len().to_string();
    xml.create_element("testsuite")
        .with_attributes([
            ("name", legal(name).as_str()),
            ("tests", count.as_str()),
            ("failures", failed.as_str()),
            ("skipped", skipped.as_str()),
            ("errors", "0"),
        ])
        .write_inner_content(|xml| cases.iter().try_for_each(|it| case(xml, name, it)))?;
    Ok(())
}

fn case(xml: &mut Writer<Vec<u8>>, suite: &str, case: &Written) -> std::io::Result<()> {
    let (class, name) = (legal(suite), legal(&case.name));
    let element = xml
        .create_element("testcase")
        .with_attributes([("classname", class.as_str()), ("name", name.as_str())]);
    match &case.state {
        State::Passed => element.write_empty().map(drop),
        State::Skipped(message) => element
            .write_inner_content(|xml| {
                let message = legal(message);
                let skipped = xml.create_element("skipped");
                skipped.with_attribute(("message", message.as_str())).write_empty().map(drop)
            })
            .map(drop),
        State::Failed { message, text } => element
            .write_inner_content(|xml| {
                let (message, text) = (legal(message), legal(text));
                xml.create_element("failure")
                    .with_attributes([("message", message.as_str()), ("type", "contract")])
                    .write_text_content(BytesText::new(&text))
                    .map(drop)
            })
            .map(drop),
    }
}

/// The cases by upstream: what was seen, then what was declared and never seen.
fn suites(outcome: &Outcome) -> Vec<(String, Vec<Written>)> {
    let mut suites: Vec<(String, Vec<Written>)> = Vec::new();
    let mut push = |upstream: &str, written: Written| match suites
        .iter_mut()
        .find(|(name, _)| name == upstream)
    {
        Some((_, cases)) => cases.push(written),
        None => suites.push((upstream.to_owned(), vec![written])),
    };
    for case in &outcome.cases {
        push(&case.upstream, Written::of(outcome, case));
    }
    for contract in &outcome.coverage.contracts {
        for operation in &contract.operations {
            for answer in operation.declared.iter().filter(|it| it.count == 0) {
                let kind = answer.media_type.as_deref().unwrap_or("without a body");
                let name = format!(
                    "{} {} {kind} ({})",
                    operation.operation, answer.status, contract.holds
                );
                let state = State::Skipped("declared and never seen".to_owned());
                push(&contract.upstream, Written { name, state });
            }
        }
    }
    suites
}

// === impl Written ===

impl Written {
    fn of(outcome: &Outcome, case: &Case) -> Self {
        let name = format!("{} {}", case.operation, case.status_text());
        let state = if case.violating > 0 {
            let findings: Vec<&Shown> = outcome.findings_of(case).collect();
            let message =
                format!("{} of {} exchanges break the contract", case.violating, case.exchanges);
            let text: Vec<String> = findings.iter().map(|it| line(it)).collect();
            State::Failed { message, text: text.join("\n") }
        } else if case.unverifiable.is_empty() {
            State::Passed
        } else {
            State::Skipped(format!(
                "not checked in full, of {} exchanges: {}",
                case.exchanges,
                reasons(&case.unverifiable)
            ))
        };
        Self { name, state }
    }

    const fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed { .. })
    }

    const fn was_skipped(&self) -> bool {
        matches!(self.state, State::Skipped(_))
    }
}

/// One finding as one line.
fn line(shown: &Shown) -> String {
    let kind = &shown.kind;
    let place = kind.position.as_ref().map(|it| format!("{it} ")).unwrap_or_default();
    let first = shown.exemplars.first().map(|it| format!(", first in {}", it.exchange));
    format!(
        "{} {} on {}, at {} {}: expected {} ({place}{}){}",
        kind.code,
        kind.keyword,
        kind.hop.as_str(),
        kind.location,
        kind.pointer,
        kind.expected,
        kind.spec_pointer,
        first.unwrap_or_default(),
    )
}

/// The text without the characters that XML 1.0 cannot hold (§2.2), in no spelling: pointers hold
/// property names out of messages.
fn legal(text: &str) -> String {
    let is_legal = |it: char| {
        matches!(it, '\t' | '\n' | '\r') || (it >= ' ' && it != '\u{fffe}' && it != '\u{ffff}')
    };
    text.chars().map(|it| if is_legal(it) { it } else { '\u{fffd}' }).collect()
}
