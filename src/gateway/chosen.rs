//! The day that a request chooses for itself, where its client may.
//!
//! A client whose terms name an `as_of_header` may say with each request which day's API it speaks.
//! The day is taken down to the nearest earlier one on which something changed (an announcement of
//! the upstream's registry, or a date of its timeline): a day between two announcements is the day
//! of the first. A day before everything known is the oldest API there is, and stands as it came.
//! The header is recgate's: it goes no further. What was applied is echoed in `Recgate-As-Of`.
//!
//! A header that names no day gets 400; only a pause whose meaning is clear goes on, on the
//! client's usual day, because losing a pause is worse.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::civil::Date;

use super::upstream::Upstream;
use crate::change::call::retained;
use crate::change::deletion_protection::EFFECTIVE;
use crate::change::terms::Terms;
use crate::contract::ContractDate;
use crate::dialect::Detail;
use crate::error::{Code, Failure};

/// `Recgate-As-Of`: the day whose API was applied, where the request was to choose it.
pub(crate) const AS_OF: HeaderName = HeaderName::from_static("recgate-as-of");

/// What holds for one request.
pub(crate) struct Promised {
    pub(crate) terms: Arc<Terms>,
    pub(crate) chosen: Chosen,
}

/// What a request said of its day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// Nothing, or it has no say.
    Nothing,
    /// A day; the terms are of that day.
    Day,
    /// Something that is no day; the terms are the client's usual ones.
    Unreadable,
}

/// The terms of a request, on the day it chooses; takes the header off.
pub(crate) fn take(terms: Arc<Terms>, headers: &mut HeaderMap, upstream: &Upstream) -> Promised {
    let Some(choice) = &terms.choice else { return Promised::plain(terms) };
    let mut values = headers.get_all(&choice.header).iter();
    let (Some(first), second) = (values.next(), values.next()) else {
        return Promised::plain(terms);
    };
    let wanted = match second {
        None => first.to_str().ok().and_then(|text| text.trim().parse::<ContractDate>().ok()),
        Some(_) => None,
    };
    *headers = retained(std::mem::take(headers), |name| *name != choice.header);
    match wanted {
        Some(date) => {
            let terms = Arc::new(terms.on(applied(date, &dates(upstream)), EFFECTIVE));
            Promised { terms, chosen: Chosen::Day }
        }
        None => Promised { terms, chosen: Chosen::Unreadable },
    }
}

/// The days on which something changed.
fn dates(upstream: &Upstream) -> Vec<Date> {
    let announced = upstream.changes.iter().filter_map(|change| change.announcement().date);
    let declared = upstream.timeline.iter().flat_map(|timeline| timeline.dates());
    announced.chain(declared).collect()
}

/// The nearest earlier of the dates, or the day itself where none is.
fn applied(wanted: ContractDate, dates: &[Date]) -> ContractDate {
    let ContractDate::On(day) = wanted else { return wanted };
    ContractDate::On(dates.iter().copied().filter(|date| *date <= day).max().unwrap_or(day))
}

// === impl Promised ===

impl Promised {
    /// Terms as the configuration has them.
    pub(crate) const fn plain(terms: Arc<Terms>) -> Self {
        Self { terms, chosen: Chosen::Nothing }
    }
}

// === impl Chosen ===

impl Chosen {
    /// Why a request cannot go on.
    pub(crate) fn failure(self, terms: &Terms) -> Option<Failure> {
        let header = &terms.choice.as_ref().filter(|_| self == Self::Unreadable)?.header;
        let detail = Detail {
            code: "format".to_owned(),
            field: Some(header.as_str().to_owned()),
            entity: None,
            message: Some("exactly one day such as 2026-09-20, or latest".to_owned()),
        };
        let failure = Failure::new(Code::RequestDate, format!("{header} names no day"));
        Some(failure.with_details(vec![detail]))
    }

    /// The day that was applied, for the answer.
    pub(crate) fn told(self, terms: &Terms) -> Option<HeaderValue> {
        if self == Self::Nothing {
            return None;
        }
        HeaderValue::from_str(&terms.as_of.to_string()).ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::applied;

    #[test]
    fn a_day_falls_to_the_nearest_earlier_announcement() {
        let dates = ["2026-09-21", "2022-05-18"].map(|day| day.parse().unwrap());
        for (wanted, day) in [
            ("2030-01-01", "2026-09-21"),
            ("2026-09-21", "2026-09-21"),
            ("2026-09-20", "2022-05-18"),
            ("2022-05-18", "2022-05-18"),
            ("2022-05-17", "2022-05-17"),
            ("latest", "latest"),
        ] {
            assert_eq!(applied(wanted.parse().unwrap(), &dates).to_string(), day, "{wanted}");
        }
        assert_eq!(applied("2026-01-01".parse().unwrap(), &[]).to_string(), "2026-01-01");
    }
}
