//! What a message carries that its operation does not declare: strict mode.
//!
//! Only names are looked at. Credentials in the place that a security scheme declares are
//! declared; so are the headers that every message may carry ([`general`]).

mod general;

use std::collections::HashSet;

use http::HeaderMap;

use super::{Operation, responses::Response};
use crate::{
    contract::{Finding, Location, Strictness, Undeclared, parameter::Query, verdict::Report},
    json::Indices,
    limits,
};

// === impl Operation ===

impl Operation {
    /// Looks for query parameters, cookies and headers of a request that nobody declared.
    pub(super) fn check_undeclared(
        &self,
        headers: &HeaderMap,
        query: &Query<'_>,
        cookies: &Query<'_>,
        strictness: Strictness,
        report: &mut Report,
    ) {
        let finding = |code, location, name: &str, expected: &str| Finding {
            code,
            location,
            pointer: name.chars().take(limits::NAME_SHOWN).collect(),
            spec_pointer: self.pointer.clone(),
            position: None,
            indices: Indices::default(),
            keyword: "parameters".to_owned(),
            expected: expected.to_owned(),
        };
        if strictness.query != Undeclared::Ignore {
            for name in self.undeclared_pairs(Location::Query, query) {
                let expected = "no query parameters but those that are declared";
                let finding = finding("query.unknown", Location::Query, name, expected);
                report.undeclared_as(strictness.query, finding);
            }
        }
        if strictness.rest == Undeclared::Ignore {
            return;
        }
        for name in self.undeclared_pairs(Location::Cookie, cookies) {
            let expected = "no cookies but those that are declared";
            let finding = finding("cookie.undeclared", Location::Cookie, name, expected);
            report.undeclared_finding(finding);
        }
        for name in headers.keys().map(http::HeaderName::as_str) {
            let is_declared = self
                .parameters_in(Location::Header)
                .any(|parameter| parameter.key().0.eq_ignore_ascii_case(name))
                || self.security.claims(Location::Header, name);
            if !is_declared && !general::is_general(name) {
                let expected = "no headers but those that are declared";
                let finding = finding("header.undeclared", Location::Header, name, expected);
                report.undeclared_finding(finding);
            }
        }
    }

    /// The names, each once, that belong to no parameter of this place.
    fn undeclared_pairs<'q>(&self, location: Location, query: &'q Query<'_>) -> Vec<&'q str> {
        let mut told = HashSet::new();
        let names = query.pairs.iter().map(|(name, _)| name.as_ref());
        let undeclared = names.filter(|name| {
            !self.claims(location, name)
                && !self.parameters_in(location).any(|parameter| parameter.takes(name))
                && told.insert(*name)
        });
        undeclared.collect()
    }
}

/// Looks for headers of a response that nobody declared.
pub(super) fn check_response_headers(
    declared: &Response,
    headers: &HeaderMap,
    report: &mut Report,
) {
    if report.undeclared() == Undeclared::Ignore {
        return;
    }
    for name in headers.keys().map(http::HeaderName::as_str) {
        let is_declared =
            declared.headers.iter().any(|header| header.key().0.eq_ignore_ascii_case(name));
        if is_declared || general::is_general(name) {
            continue;
        }
        report.undeclared_finding(Finding {
            code: "header.undeclared",
            location: Location::Header,
            pointer: name.chars().take(limits::NAME_SHOWN).collect(),
            spec_pointer: declared.pointer.clone(),
            position: None,
            indices: Indices::default(),
            keyword: "headers".to_owned(),
            expected: "no headers but those that are declared".to_owned(),
        });
    }
}
