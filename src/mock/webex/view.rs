//! A recording in Webex's three shapes: a user's list, an administrator's list, the details.

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::mock::vendor::Vendor;
use crate::mock::world::WebexRecording;

/// How long the links of the details are said to last.
const LINKS_LAST: SignedDuration = SignedDuration::from_hours(3);

/// As its host, or someone it is shared with, sees it in a list.
pub(super) fn user_item(vendor: &Vendor, recording: &WebexRecording, shared: bool) -> Value {
    let mut item = common(vendor, recording);
    item["password"] = json!("********");
    item["shareToMe"] = json!(shared);
    item
}

/// As an admin or a compliance officer sees it in a list.
pub(super) fn site_item(vendor: &Vendor, recording: &WebexRecording) -> Value {
    let mut item = common(vendor, recording);
    let host = vendor.world.webex_user(&recording.host);
    item["hostDisplayName"] = json!(host.map_or("", |host| host.name.as_str()));
    item["hostEmail"] = json!(recording.host);
    item
}

/// Get Recording Details. `shared` is `None` where the vendor hides it: from a compliance officer
/// who names no host.
pub(super) fn details(vendor: &Vendor, recording: &WebexRecording, shared: Option<bool>) -> Value {
    let mut item = common(vendor, recording);
    item["password"] = json!("********");
    if let Some(shared) = shared {
        item["shareToMe"] = json!(shared);
    }
    let link = |kind: &str| {
        format!("https://{}/mock/download/{}/{kind}?ticket=mock", recording.site, recording.id)
    };
    let expiration = vendor.now().checked_add(LINKS_LAST).unwrap_or(jiff::Timestamp::MAX);
    item["temporaryDirectDownloadLinks"] = json!({
        "recordingDownloadLink": link("recording"),
        "audioDownloadLink": link("audio"),
        "transcriptDownloadLink": link("transcript"),
        "expiration": format!("{expiration:.0}"),
    });
    item
}

fn common(vendor: &Vendor, recording: &WebexRecording) -> Value {
    let created = vendor.date.hours_ago(recording.created_hours_ago);
    let series = recording.meeting.split('_').next().unwrap_or_default();
    json!({
        "id": recording.id,
        "meetingId": recording.meeting,
        "meetingSeriesId": series,
        "topic": recording.topic,
        "createTime": created.to_string(),
        "timeRecorded": vendor.date.hours_ago(recording.created_hours_ago + 1).to_string(),
        "siteUrl": recording.site,
        "downloadUrl": format!("https://{}/mock/lsr/{}", recording.site, recording.id),
        "playbackUrl": format!("https://{}/mock/ldr/{}", recording.site, recording.id),
        "format": "MP4",
        "serviceType": "MeetingCenter",
        "durationSeconds": 1800,
        "sizeBytes": 168_103,
        "integrationTags": [],
        "status": recording.status.name(),
    })
}
