//! The recycle bin: move there, restore, purge.
//!
//! All or nothing: one id that does not fit leaves every recording where it is. Ids belong to the
//! site that the request names, or to the host's preferred one.

use http::StatusCode;
use serde_json::{Map, Value};

use super::{forbidden, not_yours};
use crate::mock::message::{
    Answer, Outcome, Request, bad_request, invalid_value, optional_string, string_list,
};
use crate::mock::vendor::{Vendor, not_found};
use crate::mock::world::{Deletion, Principal, RecordingStatus, Role};

/// The vendor takes at most this many ids at once.
const IDS_PER_REQUEST: usize = 100;

/// Whose recordings are meant, and on which site.
struct Scope {
    host: String,
    site: String,
}

/// Move Recordings into the Recycle Bin.
pub(super) fn soft_delete(vendor: &mut Vendor, caller: &Principal, request: &Request) -> Outcome {
    let object = request.object()?;
    let ids = some_ids(string_list(&object, "recordingIds")?.unwrap_or_default())?;
    let scope = scope(vendor, caller, &object, request)?;
    check(vendor, &scope, &ids, |status| status != RecordingStatus::Purged)?;
    move_to(vendor, caller, &ids, RecordingStatus::Deleted);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Restore Recordings from Recycle Bin.
pub(super) fn restore(vendor: &mut Vendor, caller: &Principal, request: &Request) -> Outcome {
    from_bin(vendor, caller, request, "restoreAll", RecordingStatus::Available)
}

/// Purge Recordings from Recycle Bin.
pub(super) fn purge(vendor: &mut Vendor, caller: &Principal, request: &Request) -> Outcome {
    from_bin(vendor, caller, request, "purgeAll", RecordingStatus::Purged)
}

fn from_bin(
    vendor: &mut Vendor,
    caller: &Principal,
    request: &Request,
    all_key: &str,
    target: RecordingStatus,
) -> Outcome {
    let object = request.object()?;
    let all = match object.get(all_key) {
        None | Some(Value::Null) => false,
        Some(Value::Bool(all)) => *all,
        Some(_) => return Err(invalid_value(all_key, "must be true or false")),
    };
    let ids = string_list(&object, "recordingIds")?.unwrap_or_default();
    if all && !ids.is_empty() {
        return Err(bad_request("recordingIds must be empty where all recordings are meant"));
    }
    let ids = if all { ids } else { some_ids(ids)? };
    let scope = scope(vendor, caller, &object, request)?;
    let ids = if all { whole_bin(vendor, &scope) } else { ids };
    check(vendor, &scope, &ids, |status| status == RecordingStatus::Deleted)?;
    move_to(vendor, caller, &ids, target);
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn some_ids(ids: Vec<String>) -> Outcome<Vec<String>> {
    if ids.is_empty() || ids.len() > IDS_PER_REQUEST {
        return Err(bad_request("recordingIds must have 1 to 100 entries"));
    }
    Ok(ids)
}

/// The caller's own recordings, or for an admin those of the user that `hostEmail` names.
fn scope(
    vendor: &Vendor,
    caller: &Principal,
    object: &Map<String, Value>,
    request: &Request,
) -> Outcome<Scope> {
    let named = optional_string(object, "siteUrl")?.map(str::to_owned);
    let email = request.query_value("hostEmail").filter(|_| caller.has(Role::Admin));
    let Some(email) = email.filter(|email| !email.eq_ignore_ascii_case(&caller.email)) else {
        let site = named.unwrap_or_else(|| caller.preferred_site().to_owned());
        return Ok(Scope { host: caller.email.clone(), site });
    };
    let host = vendor.world.webex_user(&email).ok_or_else(not_found)?;
    let site = named.unwrap_or_else(|| host.preferred_site().to_owned());
    if !caller.manages(&site) {
        return Err(forbidden("The recordings are on a site that you do not manage."));
    }
    Ok(Scope { host: host.email.clone(), site })
}

fn check(
    vendor: &Vendor,
    scope: &Scope,
    ids: &[String],
    fits: impl Fn(RecordingStatus) -> bool,
) -> Outcome<()> {
    for id in ids {
        let recording = vendor.world.recordings.get(id).ok_or_else(not_found)?;
        if recording.host != scope.host {
            return Err(not_yours());
        }
        if recording.site != scope.site {
            return Err(bad_request("All recordings must belong to the site of the request."));
        }
        if !fits(recording.status) {
            return Err(not_found());
        }
    }
    Ok(())
}

fn whole_bin(vendor: &Vendor, scope: &Scope) -> Vec<String> {
    let in_bin = vendor.world.recordings.values().filter(|recording| {
        recording.status == RecordingStatus::Deleted
            && recording.host == scope.host
            && recording.site == scope.site
    });
    in_bin.map(|recording| recording.id.clone()).collect()
}

fn move_to(vendor: &mut Vendor, caller: &Principal, ids: &[String], status: RecordingStatus) {
    for id in ids {
        if let Some(recording) = vendor.world.recordings.get_mut(id) {
            recording.status = status;
            recording.deletion = (status != RecordingStatus::Available)
                .then(|| Deletion { by: caller.token.clone(), ..Deletion::default() });
        }
    }
}
