"""Webex recordings by wxc-sdk, unchanged, its base address set by a session of its own.

The vendor's rules of Delete a Recording are judged by the mock; the gateway adds the documented limits that no schema
of the vendor holds, and patience with 423 and 429. The SDK sends `reason` and `comment` as null where none is given.
"""

import time

import harness
import pytest
from wxc_sdk import WebexSimpleApi
from wxc_sdk.meetings.recordings import RecordingStatus
from wxc_sdk.rest import RestError, RestSession
from wxc_sdk.tokens import Tokens

HOST_EMAIL = "host-hana@example.com"


def recording(number):
    """The id of a recording of the mock's world. 1 to 8 are Hana's alone, 9 is shared with Ali, 10 is on a site that
    Ada does not manage, 11 is Oki's own."""
    return f"e00000000000400080000000{number:08d}"


def webex(address, token):
    """The SDK against an address. `BASE` is a class variable, so a subclass sets it and nothing is edited."""

    class Session(RestSession):
        BASE = f"{address}/v1"

    # The SDK's own waiting for 429 is off, so that what is seen is the gateway's.
    session = Session(tokens=Tokens(access_token=token), concurrent_requests=2, retry_429=False)
    return WebexSimpleApi(tokens=token, session=session).meetings.recordings


@pytest.fixture
def as_(recgate):
    return lambda token: webex(recgate.gateway, token)


def refused(call, *arguments, **named):
    with pytest.raises(RestError) as error:
        call(*arguments, **named)
    return error.value


def delete(api, number, reason=None, comment=None, host_email=None):
    return api.delete_a_recording(recording(number), reason=reason, comment=comment, host_email=host_email)


def deletions(mock):
    return [entry for entry in mock.journal() if entry["method"] == "DELETE"]


def listed(api, **query):
    return {found.id for found in api.list_recordings(**query)}


# === who may delete ===


def test_host_deletes_an_own_recording(as_, mock):
    hana = as_("host-hana")
    assert recording(1) in listed(hana)
    assert hana.get_recording_details(recording(1)).temporary_direct_download_links.recording_download_link
    mock.forget()
    assert delete(hana, 1) is None
    [entry] = deletions(mock)
    assert (entry["path"], entry["status"]) == (f"/v1/recordings/{recording(1)}", 204)
    assert entry["body"] == {"reason": None, "comment": None}, "the nulls arrive as they were sent"
    assert refused(hana.get_recording_details, recording(1)).response.status_code == 404
    assert recording(1) not in listed(hana)


def test_attendee_may_see_but_not_delete(as_, mock):
    ali = as_("attendee-ali")
    assert listed(ali) == {recording(9)}
    error = refused(delete, ali, 9)
    assert error.response.status_code == 403
    assert error.detail.message and error.detail.tracking_id
    assert error.response.headers["trackingId"] == error.detail.tracking_id
    assert [entry["status"] for entry in deletions(mock)] == [403]
    assert listed(ali) == {recording(9)}


def test_admin_deletes_in_the_hosts_name(as_, mock):
    ada, hana = as_("admin-ada"), as_("host-hana")
    assert refused(delete, ada, 2).response.status_code in (403, 404), "not hers, and no hostEmail"
    mock.forget()
    assert delete(ada, 2, host_email=HOST_EMAIL) is None
    [entry] = deletions(mock)
    assert entry["status"] == 204
    assert entry["query"] == "hostEmail=host-hana%40example.com", "byte for byte as the SDK encoded it"
    assert refused(hana.get_recording_details, recording(2)).response.status_code == 404


def test_admin_has_no_right_on_a_site_not_managed(as_, mock):
    assert refused(delete, as_("admin-ada"), 10, host_email=HOST_EMAIL).response.status_code in (403, 404)
    assert recording(10) in listed(as_("host-hana"))


def test_host_email_is_no_right_by_itself(as_, mock):
    assert refused(delete, as_("attendee-ali"), 3, host_email=HOST_EMAIL).response.status_code in (403, 404)
    assert recording(3) in listed(as_("host-hana"))


# === the compliance officer ===


def test_officer_deletes_with_a_reason_and_keeps_access(as_, mock):
    oki, hana, ali = as_("officer-oki"), as_("host-hana"), as_("attendee-ali")
    assert delete(oki, 9, reason="audit", comment="requested by legal") is None
    assert [entry["body"] for entry in deletions(mock)] == [{"reason": "audit", "comment": "requested by legal"}]
    # Gone for the host and for whom it was shared with, from their lists as well.
    assert refused(hana.get_recording_details, recording(9)).response.status_code == 404
    assert refused(ali.get_recording_details, recording(9)).response.status_code == 404
    assert recording(9) not in listed(hana)
    assert listed(ali) == set()
    # Still there for the officer, with the links.
    kept = oki.get_recording_details(recording(9))
    assert kept.id == recording(9)
    assert kept.temporary_direct_download_links.recording_download_link


def test_officer_without_a_reason_is_refused_by_the_vendor(recgate, as_, mock):
    error = refused(delete, as_("officer-oki"), 4)
    assert error.response.status_code == 400
    assert [entry["status"] for entry in deletions(mock)] == [400], "it reached the vendor: no schema refused it"
    conformance = error.response.headers["Recgate-Conformance"]
    assert "client-request=conforms" in conformance
    assert recording(4) in listed(as_("host-hana"))


def test_officer_needs_no_reason_for_an_own_recording(as_):
    assert delete(as_("officer-oki"), 11) is None


# === the limits that the gateway holds ===


@pytest.mark.parametrize("comment", ["x" * 256, "é" * 256, "𝄞" * 256], ids=["ascii", "two bytes", "four bytes"])
def test_a_comment_too_long_never_reaches_the_vendor(as_, mock, comment):
    error = refused(delete, as_("officer-oki"), 5, reason="audit", comment=comment)
    assert error.response.status_code == 400
    assert error.detail.message and error.detail.tracking_id, "Webex's own error shape"
    assert error.detail.errors
    assert comment not in error.response.text, "never the offending value"
    assert mock.journal() == []
    assert recording(5) in listed(as_("host-hana"))


@pytest.mark.parametrize("comment", ["x" * 255, "é" * 255, "𝄞" * 255], ids=["ascii", "two bytes", "four bytes"])
def test_a_comment_of_255_characters_does(as_, mock, comment):
    assert delete(as_("officer-oki"), 5, reason="audit", comment=comment) is None
    assert [entry["body"]["comment"] for entry in deletions(mock)] == [comment]


# === locked, and too many requests ===


@pytest.mark.parametrize("status", [423, 429])
def test_retry_after_is_waited_for_within_the_deadline(as_, mock, status):
    mock.set_faults({"operation": "deleteRecording", "status": status, "retryAfter": 1, "count": 1})
    started = time.monotonic()
    assert delete(as_("host-hana"), 6) is None
    assert time.monotonic() - started >= 1, "Retry-After is honoured"
    assert [entry["status"] for entry in deletions(mock)] == [status, 204]


@pytest.mark.parametrize("status", [423, 429])
def test_a_retry_after_past_the_deadline_is_the_clients(as_, mock, status):
    mock.set_faults({"operation": "deleteRecording", "status": status, "retryAfter": 120, "count": 1})
    started = time.monotonic()
    error = refused(delete, as_("host-hana"), 7)
    assert time.monotonic() - started < 15, "it is not waited for"
    assert error.response.status_code == status
    assert error.response.headers["Retry-After"] == "120"
    assert error.detail.tracking_id
    assert [entry["status"] for entry in deletions(mock)] == [status]
    assert recording(7) in listed(as_("host-hana"))


@pytest.mark.parametrize("status", [401, 404, 405, 409, 410, 415, 428, 500, 502, 504])
def test_other_errors_arrive_as_they_are_and_once(as_, mock, status):
    """A deletion that may have happened is not sent again; one that was refused is not either."""
    mock.set_faults({"operation": "deleteRecording", "status": status, "count": 1})
    error = refused(delete, as_("host-hana"), 8)
    assert error.response.status_code == status
    assert error.detail.message and error.detail.tracking_id
    assert [entry["status"] for entry in deletions(mock)] == [status]


# === pointing the SDK at it, and the rest of the room ===


def test_the_printed_line_of_code_is_enough(recgate, mock, monkeypatch):
    monkeypatch.setattr(RestSession, "BASE", RestSession.BASE)  # what the line sets is undone afterwards
    exec(recgate.printed_code("wxc-sdk"), {})  # noqa: S102 - the line is what is under test
    with WebexSimpleApi(tokens="host-hana") as api:
        assert api.meetings.recordings.get_recording_details(recording(1)).id == recording(1)
    assert [entry["path"] for entry in mock.journal()] == [f"/v1/recordings/{recording(1)}"]


def test_the_recycle_bin_both_ways(as_, mock):
    hana = as_("host-hana")
    hana.move_recordings_into_the_recycle_bin([recording(15)], site_url=None)
    assert recording(15) in listed(hana, status=RecordingStatus.deleted)
    hana.restore_recordings_from_recycle_bin(restore_all=False, recording_ids=[recording(15)], site_url=None)
    assert recording(15) in listed(hana)
    hana.move_recordings_into_the_recycle_bin([recording(15)], site_url=None)
    hana.purge_recordings_from_recycle_bin(purge_all=True, recording_ids=[], site_url=None)
    assert listed(hana, status=RecordingStatus.deleted) == set()


def test_pages_are_followed_through_the_gateway(recgate, as_, mock):
    """The `Link` of a page names the vendor's address or the gateway's; either way every recording is found."""
    whole = listed(as_("host-hana"))
    assert len(whole) > 10
    assert listed(as_("host-hana"), max=5) == whole


def test_an_admin_lists_a_site(as_):
    found = {each.id for each in as_("admin-ada").list_recordings_for_an_admin_or_compliance_officer()}
    assert recording(1) in found
    assert recording(10) not in found
