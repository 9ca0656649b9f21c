//! The query and the cookies, cut into names and raw values, once a request.

use std::borrow::Cow;

use http::{HeaderMap, header};

use super::{style::Pairs, text::Escapes};

/// The query, or cookies, cut into names and raw values.
#[derive(Debug, Default)]
pub(crate) struct Query<'q> {
    pub(crate) pairs: Pairs<'q>,
}

// === impl Query ===

impl<'q> Query<'q> {
    /// Cuts a query. A name that cannot be decoded stays as it came.
    pub(crate) fn parse(query: &'q str) -> Self {
        Self { pairs: query.split('&').filter(|it| !it.is_empty()).map(query_pair).collect() }
    }

    /// Cuts the `Cookie` headers. What is exploded into one cookie (`R=1&G=2`, as the
    /// specification's table has it) is cut, too, where `exploded` knows the cookie's name.
    pub(crate) fn cookies(headers: &'q HeaderMap, exploded: &dyn Fn(&str) -> bool) -> Self {
        let mut pairs = Vec::new();
        for line in headers.get_all(header::COOKIE) {
            let Ok(line) = line.to_str() else { continue };
            for cookie in line.split(';').map(str::trim).filter(|it| !it.is_empty()) {
                let first = cookie_pair(cookie);
                if first.1.contains('&') && exploded(&first.0) {
                    pairs.extend(cookie.split('&').map(cookie_pair));
                } else {
                    pairs.push(first);
                }
            }
        }
        Self { pairs }
    }
}

/// A name, decoded where it can be, and a raw value.
pub(crate) fn query_pair(pair: &str) -> (Cow<'_, str>, &str) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (Escapes::Form.decode(name).unwrap_or(Cow::Borrowed(name)), value)
}

fn cookie_pair(pair: &str) -> (Cow<'_, str>, &str) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (Cow::Borrowed(name.trim()), value.trim())
}
