//! `[[deprecation]]`: what answers to a legacy operation say of its end.
//!
//! `Deprecation` (RFC 9745: since when it is deprecated, `@` and Unix seconds), `Sunset` (RFC 8594:
//! when it may stop, an HTTP date) and `Link` to what a person should read (`rel` of the same two
//! RFCs). Nothing is said by default: the vendor announced no end of these operations, so whatever
//! stands here is the operator's own plan.

use http::header::{HeaderMap, HeaderName, HeaderValue, LINK};
use http::uri::{Scheme, Uri};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::change::Registry;

const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");
const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// `[[deprecation]]`, as it is spelt.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RawDeprecation {
    /// The id of the announcement that left the operation behind.
    pub change: String,
    /// The day from which it is deprecated, past or to come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deprecated: Option<Date>,
    /// The day from which it may be gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sunset: Option<Date>,
    /// What to read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// What answers to a legacy operation carry.
#[derive(Clone, Debug)]
pub struct Deprecation {
    /// The announcement's id.
    pub change: &'static str,
    since: Option<HeaderValue>,
    sunset: Option<HeaderValue>,
    links: Vec<HeaderValue>,
}

// === impl RawDeprecation ===

impl RawDeprecation {
    /// Checks an entry. An error names the key at fault, and what to do.
    pub fn check(&self) -> Result<Deprecation, (&'static str, String)> {
        let registry = Registry::whole();
        let all = registry.iter().map(|it| it.announcement());
        let legacy: Vec<_> = all.filter(|it| it.legacy.is_some()).collect();
        let Some(announcement) = legacy.iter().find(|it| it.id == self.change) else {
            let known: Vec<&str> = legacy.iter().map(|it| it.id).collect();
            let known = known.join(", ");
            return Err(("change", format!("must be a change with a legacy operation: {known}")));
        };
        if self.deprecated.is_none() && self.sunset.is_none() {
            return Err(("change", "needs `deprecated`, `sunset` or both, each a day".to_owned()));
        }
        // RFC 9745 §4.
        if self.sunset < self.deprecated && self.sunset.is_some() {
            return Err(("sunset", "must not be before `deprecated`".to_owned()));
        }
        let unusable = |key| move |()| (key, "is a day that cannot be told".to_owned());
        let since = self.deprecated.map(since).transpose().map_err(unusable("deprecated"))?;
        let sunset = self.sunset.map(until).transpose().map_err(unusable("sunset"))?;
        let mut links = Vec::new();
        if let Some(link) = &self.link {
            let wanted = || ("link", "must be an http:// or https:// address".to_owned());
            let uri: Uri = link.parse().map_err(|_| wanted())?;
            let scheme = uri.scheme().filter(|it| [Scheme::HTTP, Scheme::HTTPS].contains(it));
            if scheme.is_none() || link.contains(['<', '>', '"']) {
                return Err(wanted());
            }
            let said = [(since.is_some(), "deprecation"), (sunset.is_some(), "sunset")];
            for (_, relation) in said.into_iter().filter(|(is_said, _)| *is_said) {
                let value = HeaderValue::try_from(format!("<{link}>; rel=\"{relation}\""));
                links.push(value.map_err(|_| wanted())?);
            }
        }
        Ok(Deprecation { change: announcement.id, since, sunset, links })
    }
}

// === impl Deprecation ===

impl Deprecation {
    /// Puts it on an answer, in the place of what the upstream said of the same.
    pub fn tell(&self, headers: &mut HeaderMap) {
        for (name, value) in [(DEPRECATION, &self.since), (SUNSET, &self.sunset)] {
            if let Some(value) = value {
                headers.insert(name, value.clone());
            }
        }
        for link in &self.links {
            headers.append(LINK, link.clone());
        }
    }
}

/// RFC 9745 §2.1: a date of RFC 9651 §3.3.7.
fn since(day: Date) -> Result<HeaderValue, ()> {
    HeaderValue::try_from(format!("@{}", midnight(day)?.as_second())).map_err(|_| ())
}

/// RFC 8594 §3: an HTTP date (RFC 9110 §5.6.7).
fn until(day: Date) -> Result<HeaderValue, ()> {
    let text = midnight(day)?.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    HeaderValue::try_from(text).map_err(|_| ())
}

/// A day begins at midnight UTC.
fn midnight(day: Date) -> Result<Timestamp, ()> {
    day.to_zoned(TimeZone::UTC).map(|it| it.timestamp()).map_err(|_| ())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::HeaderMap;
    use rstest::rstest;

    use super::RawDeprecation;

    fn read(text: &str) -> Result<HeaderMap, &'static str> {
        let raw: RawDeprecation = toml::from_str(text).unwrap();
        let mut headers = HeaderMap::new();
        raw.check().map_err(|(key, _)| key)?.tell(&mut headers);
        Ok(headers)
    }

    #[test]
    fn an_entry_becomes_the_headers_of_the_rfcs() {
        let headers = read(
            "change = \"WEM-449\"\ndeprecated = \"2026-01-01\"\nsunset = \"2027-06-30\"\nlink = \"https://x.example/a\"\n",
        )
        .unwrap();
        assert_eq!(headers["deprecation"], "@1767225600");
        assert_eq!(headers["sunset"], "Wed, 30 Jun 2027 00:00:00 GMT");
        let links: Vec<_> = headers.get_all("link").iter().collect();
        let page = "<https://x.example/a>";
        assert_eq!(
            links,
            [&*format!("{page}; rel=\"deprecation\""), &format!("{page}; rel=\"sunset\"")]
        );
    }

    #[rstest]
    #[case::unknown("change = \"WEM-1\"\nsunset = \"2027-06-30\"\n", "change")]
    #[case::nothing_left("change = \"webex-delete\"\nsunset = \"2027-06-30\"\n", "change")]
    #[case::nothing_said("change = \"WEM-449\"\n", "change")]
    #[case::order(
        "change = \"WEM-449\"\ndeprecated = \"2026-01-02\"\nsunset = \"2026-01-01\"\n",
        "sunset"
    )]
    #[case::link("change = \"WEM-449\"\nsunset = \"2026-01-01\"\nlink = \"here\"\n", "link")]
    fn what_makes_no_sense_is_refused(#[case] text: &str, #[case] key: &str) {
        assert_eq!(read(text).unwrap_err(), key);
    }
}
