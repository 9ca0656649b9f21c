//! What the store promises: one entry a kind, whatever the number of findings.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use jiff::Timestamp;

use super::{Filter, Findings, Place};
use crate::contract::{Finding, Location};
use crate::error::Blame;
use crate::json::Indices;
use crate::limits;
use crate::report::{Hop, Trace};

fn finding(pointer: &str) -> Finding {
    Finding {
        code: "body.schema",
        location: Location::Body,
        pointer: pointer.to_owned(),
        spec_pointer: "/paths/~1a/get".to_owned(),
        position: None,
        indices: indices(pointer),
        keyword: "maxLength".to_owned(),
        expected: "at most 3 characters".to_owned(),
    }
}

/// In these pointers every number is an index, but for those of a `map`.
fn indices(pointer: &str) -> Indices {
    let tokens: Vec<&str> = pointer.split('/').skip(1).collect();
    let is_index = |at: usize| tokens[at].parse::<usize>().is_ok() && tokens[at - 1] != "map";
    (0..tokens.len()).rev().fold(Indices::default(), |indices, at| {
        if at > 0 && is_index(at) { indices.under_index() } else { indices.under_name() }
    })
}

fn add(findings: &Findings, number: usize, operation: &str, hop: Hop, pointer: &str) {
    let upstream = Arc::from("u");
    let trace = Trace::Entry { file: Arc::from("t.har"), number };
    let at = Timestamp::from_second(i64::try_from(number).unwrap()).unwrap();
    let blame = if hop == Hop::ClientRequest { Blame::Client } else { Blame::Upstream };
    let place = Place { trace: &trace, at, upstream: &upstream, operation, hop, blame };
    findings.add(&place, &finding(pointer));
}

/// Resident memory of this process in bytes.
fn resident() -> i64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    text.split(' ').nth(1).unwrap().parse::<i64>().unwrap() * 4096
}

#[test]
fn a_million_equal_faults_cost_one_entry() {
    let findings = Findings::default();
    add(&findings, 1, "op", Hop::ClientRequest, "/items/0/name");
    let before = resident();
    let mut last = 1;
    for number in 2..=1_000_000 {
        add(&findings, number, "op", Hop::ClientRequest, &format!("/items/{}/name", number % 1000));
        last = number;
    }
    let grown = resident() - before;
    let list = findings.list();
    let [only] = list.as_slice() else { panic!("{} entries", list.len()) };
    assert_eq!(only.count, 1_000_000);
    assert_eq!(only.kind.pointer, "/items/*/name");
    assert_eq!(only.first, Timestamp::from_second(1).unwrap());
    assert_eq!(only.last, Timestamp::from_second(i64::try_from(last).unwrap()).unwrap());
    assert_eq!(only.exemplars.len(), limits::FINDING_EXEMPLARS);
    assert_eq!(only.exemplars[0].exchange.to_string(), "t.har#1");
    assert_eq!(only.exemplars[4].exchange.to_string(), "t.har#1000000");
    // Other tests of this process allocate meanwhile; an entry a finding would be hundreds of MB.
    assert!(grown < 64 * 1024 * 1024, "grew by {grown} bytes");
}

#[test]
fn kinds_are_told_apart_ordered_and_filtered() {
    let findings = Findings::default();
    add(&findings, 1, "a", Hop::ClientRequest, "/x");
    for number in 2..5 {
        add(&findings, number, "b", Hop::ClientRequest, "/x");
        add(&findings, number, "b", Hop::UpstreamResponse, "/x");
    }
    add(&findings, 6, "b", Hop::UpstreamResponse, "/x");
    let shown = |filter: &Filter| {
        let list = findings.matching(filter);
        list.iter().map(|it| (it.kind.operation.clone(), it.kind.hop, it.count)).collect::<Vec<_>>()
    };
    let (a, b) = ("a".to_owned(), "b".to_owned());
    let all = [
        (b.clone(), Hop::UpstreamResponse, 4),
        (b.clone(), Hop::ClientRequest, 3),
        (a.clone(), Hop::ClientRequest, 1),
    ];
    assert_eq!(shown(&Filter::default()), all);
    let upstream = Filter { blame: Some(Blame::Upstream), ..Filter::default() };
    assert_eq!(shown(&upstream), all[..1]);
    let hop = Filter { hop: Some(Hop::ClientRequest), ..Filter::default() };
    assert_eq!(shown(&hop), all[1..]);
    let operation = Filter { operation: Some(a), ..Filter::default() };
    assert_eq!(shown(&operation), all[2..]);
    let nowhere = Filter { upstream: Some(b), ..Filter::default() };
    assert_eq!(shown(&nowhere), []);
}

#[test]
fn a_fingerprint_is_the_same_in_every_run() {
    let findings = Findings::default();
    add(&findings, 1, "op", Hop::ClientRequest, "/items/7");
    let print = findings.list()[0].fingerprint.to_string();
    assert_eq!(print.len(), 32);
    assert_eq!(print, "ad88e6ac0855427c3068f35f6e33281f");
}

#[test]
fn a_name_of_digits_is_a_name() {
    let findings = Findings::default();
    for (number, pointer) in ["/list/7", "/list/8", "/map/7", "/map/8"].iter().enumerate() {
        add(&findings, number, "op", Hop::ClientRequest, pointer);
    }
    let mut pointers: Vec<String> = findings.list().into_iter().map(|it| it.kind.pointer).collect();
    pointers.sort();
    assert_eq!(pointers, ["/list/*", "/map/7", "/map/8"]);
}

#[test]
fn a_long_pointer_is_cut_and_kinds_are_bounded() {
    let findings = Findings::default();
    let long = format!("/{}", "ü".repeat(10_000));
    add(&findings, 1, "op", Hop::ClientRequest, &long);
    let kept = &findings.list()[0].kind.pointer;
    assert!(kept.len() <= limits::FINDING_POINTER_BYTES + "…".len(), "{}", kept.len());
    assert!(kept.ends_with('…'));
    for number in 0..30_000 {
        add(&findings, number, "op", Hop::ClientRequest, &format!("/k{number}"));
    }
    findings.kinds.run_pending_tasks();
    assert!(findings.list().len() as u64 <= limits::FINDING_KINDS);
}
