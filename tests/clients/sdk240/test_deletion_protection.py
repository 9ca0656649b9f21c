"""Deletion protection by an integration written before WEM-1493: SDK 240, which drops the body of a 200 in silence.

Conversations 21 to 23 are `region=emea`, 24 to 26 `region=apac`; 21 and 24 are protected at the start. `records-abac`
may touch emea only.
"""

import json

import harness
import pytest
from genesys import protect, refusal, straight, through
from harness import conversation

ALL = range(21, 27)
ALLOWED = {conversation(number) for number in (21, 22, 23)}
REFUSED = {conversation(number) for number in (24, 25, 26)}
AT_START = {conversation(21), conversation(24)}
IDS = [conversation(number) for number in ALL]

DATES = [harness.LONG_BEFORE, harness.DAY_BEFORE, harness.CHANGE_DAY, harness.LONG_AFTER]
SINCE = [harness.CHANGE_DAY, harness.LONG_AFTER]
BEFORE = [harness.LONG_BEFORE, harness.DAY_BEFORE]


@pytest.fixture(autouse=True)
def the_day_of_the_change(request):
    """Where a test does not name a day: the first one on which a partial result is possible."""
    if "recgate" in request.fixturenames:
        request.getfixturevalue("mock").set_date(harness.CHANGE_DAY)


# === why this exists ===


@pytest.mark.parametrize("date", SINCE)
def test_straight_to_the_vendor_a_partial_failure_looks_like_success(recgate, mock, date):
    """The loss that nobody notices: no exception, no value, and half of the recordings unprotected."""
    mock.set_date(date)
    assert protect(straight(recgate, "records-abac"), ALL) is None
    assert [entry["status"] for entry in mock.journal()] == [200]
    assert mock.protected(IDS) == ALLOWED | AT_START
    assert not {conversation(25), conversation(26)} & mock.protected(IDS)


@pytest.mark.parametrize("date", SINCE)
def test_straight_to_the_vendor_a_partial_revocation_looks_like_success(recgate, mock, date):
    mock.set_date(date)
    assert protect(straight(recgate, "records-abac"), ALL, apply=False) is None
    assert mock.protected(IDS) == {conversation(24)}


# === through the gateway ===


@pytest.mark.parametrize("date", SINCE)
def test_a_partial_failure_is_an_exception_that_names_both_sides(recgate, mock, date):
    mock.set_date(date)
    status, body = refusal(protect, through(recgate, "records-abac"), ALL)
    assert status == 409
    assert body["status"] == 409
    assert {detail["entityId"] for detail in body["details"]} == REFUSED
    assert len(body["details"]) == len(REFUSED)
    assert all(detail["errorCode"] for detail in body["details"])
    # The failures are in `details`; what remains of the body tells what was applied.
    told = json.dumps({name: value for name, value in body.items() if name != "details"})
    for applied in (22, 23):
        assert conversation(applied) in told
    assert mock.protected(IDS) == ALLOWED | AT_START, "the answer told what is"


@pytest.mark.parametrize("date", SINCE)
def test_a_partial_revocation_is_an_exception_too(recgate, mock, date):
    mock.set_date(date)
    status, body = refusal(protect, through(recgate, "records-abac"), ALL, apply=False)
    assert status == 409
    assert {detail["entityId"] for detail in body["details"]} == REFUSED
    assert mock.protected(IDS) == {conversation(24)}


@pytest.mark.parametrize("date", SINCE)
def test_a_partial_answer_names_the_change_and_counts(recgate, mock, date):
    mock.set_date(date)
    answer = harness.request(
        "PUT",
        f"{recgate.gateway}/api/v2/recordings/deletionprotection?protect=true",
        token="records-abac",
        body={"conversationIds": IDS},
        headers={"purecloud-sdk": "240.0.0"},
    )
    assert answer.status == 409
    assert answer.headers["Recgate-Changes"] == "WEM-1493"
    assert {part.strip() for part in answer.headers["Recgate-Partial"].split(",")} == {"failed=3", "total=6"}
    assert answer.headers["Content-Type"].startswith("application/json")


@pytest.mark.parametrize("date", SINCE)
def test_where_all_failed_it_is_the_whole_requests_error(recgate, mock, date):
    mock.set_date(date)
    status, body = refusal(protect, through(recgate, "records-abac"), (25, 26))
    assert status == 403
    assert body["status"] == 403
    assert mock.protected(IDS) == AT_START


@pytest.mark.parametrize("date", DATES)
def test_without_a_policy_nothing_ever_changes(recgate, mock, date):
    mock.set_date(date)
    assert protect(through(recgate, "records-eve"), ALL) is None
    assert [entry["status"] for entry in mock.journal()] == [204], "never a 200 without a policy"
    assert mock.protected(IDS) == set(IDS)
    mock.forget()
    assert protect(through(recgate, "records-eve"), ALL, apply=False) is None
    assert [entry["status"] for entry in mock.journal()] == [204]
    assert mock.protected(IDS) == set()


@pytest.mark.parametrize("date", DATES)
def test_the_right_to_apply_is_no_right_to_revoke(recgate, mock, date):
    mock.set_date(date)
    status, body = refusal(protect, through(recgate, "records-apply"), ALL, apply=False)
    assert status == 403
    assert body["code"] == "missing.permissions"
    assert mock.protected(IDS) == AT_START


@pytest.mark.parametrize("date", BEFORE)
@pytest.mark.parametrize("way", [straight, through])
@pytest.mark.parametrize("apply", [True, False], ids=["apply", "revoke"])
def test_before_the_change_it_is_refused_whole(recgate, mock, date, way, apply):
    mock.set_date(date)
    status, body = refusal(protect, way(recgate, "records-abac"), ALL, apply=apply)
    assert status == 403
    assert body["status"] == 403
    assert [entry["status"] for entry in mock.journal()] == [403]
    assert mock.protected(IDS) == AT_START


def test_an_unknown_id_fails_the_whole_request(recgate, mock):
    direct = refusal(protect, straight(recgate, "records-eve"), (22, 99))
    status, body = refusal(protect, through(recgate, "records-eve"), (22, 99))
    assert (status, body["code"]) == (direct[0], direct[1]["code"])
    assert mock.protected(IDS) == AT_START
