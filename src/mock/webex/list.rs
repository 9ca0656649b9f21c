//! Lists of recordings: filters, newest first, and pages by a `Link` header (RFC 8288).

use http::{StatusCode, header};
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{forbidden, view};
use crate::mock::message::{Answer, Outcome, Request, bad_request, invalid_value};
use crate::mock::vendor::{Vendor, insert, not_found};
use crate::mock::world::{Principal, RecordingStatus, Role, WebexRecording};

const MAX_DEFAULT: usize = 10;
const MAX_ALLOWED: usize = 100;

/// The window of a list that names only one of its ends, or none.
const WINDOW: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What a list is narrowed to.
struct Filter {
    from: Timestamp,
    to: Timestamp,
    meeting: Option<String>,
    site: Option<String>,
    topic: Option<String>,
    format: Option<String>,
    service: Option<String>,
    tag: Option<String>,
    status: RecordingStatus,
    max: usize,
    offset: usize,
}

/// List Recordings: those that the caller hosts or that are shared with the caller; for an admin
/// with `hostEmail`, those that this user hosts on managed sites.
pub(super) fn own(vendor: &Vendor, caller: &Principal, request: &Request) -> Outcome {
    let filter = Filter::read(vendor, request, Some(WINDOW))?;
    let officer = caller.has(Role::ComplianceOfficer);
    if filter.status == RecordingStatus::Purged && !(officer && filter.meeting.is_some()) {
        return Err(bad_request("status purged is for a compliance officer who names a meetingId"));
    }
    let privileged = officer || caller.has(Role::Admin);
    let named = request.query_value("hostEmail").filter(|_| privileged);
    let host = match named {
        None => None,
        Some(email) => Some(vendor.world.webex_user(&email).ok_or_else(not_found)?.email.clone()),
    };
    let me = caller.email.to_lowercase();
    let hers = |recording: &WebexRecording| match &host {
        Some(host) => {
            recording.host == *host
                && (officer || recording.host == caller.email || caller.manages(&recording.site))
        }
        None => {
            recording.host == caller.email
                || officer && filter.status == RecordingStatus::Purged
                || recording.shared_with.contains(&me)
                    && recording.status == RecordingStatus::Available
        }
    };
    let page = filter.page(vendor, hers);
    let items = page.iter().map(|recording| {
        let shared = host.is_none() && recording.host != caller.email;
        view::user_item(vendor, recording, shared)
    });
    Ok(filter.answer(request, &items.take(filter.max).collect::<Vec<_>>(), page.len()))
}

/// List Recordings For an Admin or Compliance Officer: of the site named, or the preferred one.
pub(super) fn site(vendor: &Vendor, caller: &Principal, request: &Request) -> Outcome {
    let officer = caller.has(Role::ComplianceOfficer);
    if !officer && !caller.has(Role::Admin) {
        return Err(forbidden("This operation needs an admin-level or compliance scope."));
    }
    let mut filter = Filter::read(vendor, request, None)?;
    if filter.status == RecordingStatus::Purged && !officer {
        return Err(forbidden("Only a compliance officer can list purged recordings."));
    }
    if filter.meeting.is_some() {
        (filter.from, filter.to) = (Timestamp::MIN, Timestamp::MAX);
    } else if filter.site.is_none() {
        filter.site = Some(caller.preferred_site().to_owned());
    }
    if !officer && filter.site.as_deref().is_some_and(|site| !caller.manages(site)) {
        return Err(forbidden("You do not manage this site."));
    }
    let page = filter.page(vendor, |recording| officer || caller.manages(&recording.site));
    let items = page.iter().map(|recording| view::site_item(vendor, recording));
    Ok(filter.answer(request, &items.take(filter.max).collect::<Vec<_>>(), page.len()))
}

// === impl Filter ===

impl Filter {
    /// `window` is what the vendor assumes where the request names no times; without one, all of
    /// them are meant.
    fn read(vendor: &Vendor, request: &Request, window: Option<SignedDuration>) -> Outcome<Self> {
        let (from, to) = (time(request, "from")?, time(request, "to")?);
        let (from, to) = match (from, to, window) {
            (Some(from), Some(to), _) => (from, to),
            (Some(from), None, Some(window)) => (from, later(from, window)),
            (None, Some(to), Some(window)) => (earlier(to, window), to),
            (None, None, Some(window)) => (earlier(vendor.now(), window), vendor.now()),
            (from, to, None) => (from.unwrap_or(Timestamp::MIN), to.unwrap_or(Timestamp::MAX)),
        };
        if from > to {
            return Err(bad_request("from must not be after to"));
        }
        let max = number(request, "max")?.unwrap_or(MAX_DEFAULT);
        if max == 0 || max > MAX_ALLOWED {
            return Err(invalid_value("max", "must be from 1 to 100"));
        }
        let services = ["MeetingCenter", "EventCenter", "SupportCenter", "TrainingCenter"];
        let meeting = request.query_value("meetingId");
        Ok(Self {
            // `meetingId` makes the vendor ignore the site; for an admin the times too.
            site: request.query_value("siteUrl").filter(|_| meeting.is_none()),
            from,
            to,
            meeting,
            topic: request.query_value("topic"),
            format: one_of(request, "format", &["MP4", "ARF"])?,
            service: one_of(request, "serviceType", &services)?,
            tag: request.query_value("integrationTag"),
            status: match one_of(request, "status", &["available", "deleted", "purged"])?.as_deref()
            {
                Some("deleted") => RecordingStatus::Deleted,
                Some("purged") => RecordingStatus::Purged,
                _ => RecordingStatus::Available,
            },
            max,
            offset: number(request, "offset")?.unwrap_or(0),
        })
    }

    /// One page, and one recording more where there is a next page.
    fn page<'a>(
        &self,
        vendor: &'a Vendor,
        visible: impl Fn(&WebexRecording) -> bool,
    ) -> Vec<&'a WebexRecording> {
        let mut found: Vec<_> = vendor
            .world
            .recordings
            .values()
            .filter(|recording| visible(recording) && self.fits(vendor, recording))
            .collect();
        found.sort_by_key(|recording| (recording.created_hours_ago, recording.id.clone()));
        found.into_iter().skip(self.offset).take(self.max + 1).collect()
    }

    fn fits(&self, vendor: &Vendor, recording: &WebexRecording) -> bool {
        let created = vendor.date.hours_ago(recording.created_hours_ago);
        let is = |wanted: &Option<String>, value: &str| wanted.as_ref().is_none_or(|w| w == value);
        let series = recording.meeting.split('_').next().unwrap_or_default();
        recording.status == self.status
            && (self.from..=self.to).contains(&created)
            && (is(&self.meeting, &recording.meeting) || is(&self.meeting, series))
            && is(&self.site, &recording.site)
            && is(&self.format, "MP4")
            && is(&self.service, "MeetingCenter")
            && self.tag.is_none()
            && self.topic.as_ref().is_none_or(|topic| recording.topic.contains(topic.as_str()))
    }

    fn answer(&self, request: &Request, items: &[Value], found: usize) -> Answer {
        let mut answer = Answer::json(StatusCode::OK, &json!({ "items": items }));
        if found > self.max {
            let link = format!("<{}>; rel=\"next\"", self.next(request));
            insert(&mut answer.headers, header::LINK, &link);
        }
        answer
    }

    /// The same request, one page on, at the host that the caller addressed.
    fn next(&self, request: &Request) -> String {
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let kept = request
            .query_pairs()
            .into_iter()
            .filter(|(key, _)| key != "offset")
            .map(|(key, value)| format!("{}={}", encode(&key), encode(&value)));
        let offset = std::iter::once(format!("offset={}", self.offset + self.max));
        let query: Vec<String> = kept.chain(offset).collect();
        let host = request.header(&header::HOST).unwrap_or("localhost");
        format!("http://{host}{}?{}", request.path, query.join("&"))
    }
}

fn time(request: &Request, name: &str) -> Outcome<Option<Timestamp>> {
    let Some(text) = request.query_value(name) else { return Ok(None) };
    let utc = |at: DateTime| at.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| utc(text.parse::<DateTime>().ok()?))
        .or_else(|| utc(text.parse::<Date>().ok()?.at(0, 0, 0, 0)))
        .map(Some)
        .ok_or_else(|| invalid_value(name, "must be an ISO 8601 date and time"))
}

fn number(request: &Request, name: &str) -> Outcome<Option<usize>> {
    let Some(text) = request.query_value(name) else { return Ok(None) };
    text.parse()
        .ok()
        .filter(|number| u16::try_from(*number).is_ok())
        .map(Some)
        .ok_or_else(|| invalid_value(name, "must be a small whole number"))
}

fn one_of(request: &Request, name: &str, allowed: &[&str]) -> Outcome<Option<String>> {
    match request.query_value(name) {
        None => Ok(None),
        Some(value) if allowed.contains(&value.as_str()) => Ok(Some(value)),
        Some(_) => Err(invalid_value(name, "is not one of its documented values")),
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

fn earlier(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_sub(by).unwrap_or(Timestamp::MIN)
}
