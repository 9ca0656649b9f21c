"""Deletion protection by an integration written after WEM-1493: SDK 269, told apart from older ones by its header.

It knows the 200 with failures, so it gets the vendor's answers as they are; under `uniform` it gets one form of answer
always. The world is that of the tests of SDK 240.
"""

import harness
import pytest
from genesys import protect, refusal, sdk, straight, through
from harness import conversation

ALL = range(21, 27)
ALLOWED = {conversation(number) for number in (21, 22, 23)}
REFUSED = {conversation(number) for number in (24, 25, 26)}
AT_START = {conversation(21), conversation(24)}
IDS = [conversation(number) for number in ALL]

DATES = [harness.LONG_BEFORE, harness.DAY_BEFORE, harness.CHANGE_DAY, harness.LONG_AFTER]
SINCE = [harness.CHANGE_DAY, harness.LONG_AFTER]

UNIFORM = """
[[client]]
name = "sdk-269"
match = { header = { name = "purecloud-sdk", prefix = "269." } }
as_of = "2026-09-21"
deletion_protection = { apply = "uniform", revoke = "uniform" }
"""


def failed(result):
    """The ids in `failed_updates`, each with a code, none twice."""
    assert isinstance(result, sdk.ManageDeleteProtectionResult)
    ids = [update.conversation.id for update in result.failed_updates]
    assert len(ids) == len(set(ids))
    assert all(update.error_code for update in result.failed_updates)
    return set(ids)


@pytest.fixture
def uniform():
    with harness.Recgate(config=harness.config_with_clients(UNIFORM)) as running:
        running.mock.set_date(harness.CHANGE_DAY)
        yield running


@pytest.fixture(autouse=True)
def the_day_of_the_change(request):
    """Where a test does not name a day: the first one on which a partial result is possible."""
    if "recgate" in request.fixturenames:
        request.getfixturevalue("mock").set_date(harness.CHANGE_DAY)


# === as a new client, by default ===


@pytest.mark.parametrize("way", [straight, through])
@pytest.mark.parametrize("date", SINCE)
def test_a_partial_failure_is_the_vendors_object(recgate, mock, way, date):
    mock.set_date(date)
    assert failed(protect(way(recgate, "records-abac"), ALL)) == REFUSED
    assert [entry["status"] for entry in mock.journal()] == [200]
    assert mock.protected(IDS) == ALLOWED | AT_START


@pytest.mark.parametrize("date", SINCE)
def test_a_partial_revocation_is_the_vendors_object(recgate, mock, date):
    mock.set_date(date)
    assert failed(protect(through(recgate, "records-abac"), ALL, apply=False)) == REFUSED
    assert mock.protected(IDS) == {conversation(24)}


@pytest.mark.parametrize("date", DATES)
def test_a_full_success_is_the_vendors_204(recgate, mock, date):
    mock.set_date(date)
    result = protect(through(recgate, "records-eve"), ALL)
    assert isinstance(result, sdk.ManageDeleteProtectionResult)
    assert result.failed_updates is None
    assert [entry["status"] for entry in mock.journal()] == [204]
    assert mock.protected(IDS) == set(IDS)


def test_a_missing_right_stays_the_vendors_error(recgate, mock):
    direct = refusal(protect, straight(recgate, "records-apply"), ALL, apply=False)
    status, body = refusal(protect, through(recgate, "records-apply"), ALL, apply=False)
    assert (status, body["code"]) == (direct[0], direct[1]["code"]) == (403, "missing.permissions")
    assert mock.protected(IDS) == AT_START


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"purecloud-sdk": "269.0.0"}, 200), ({"purecloud-sdk": "240.0.0"}, 409), ({}, 409)],
    ids=["269", "240", "none"],
)
def test_it_is_the_header_that_tells_them_apart(recgate, headers, status):
    answer = harness.request(
        "PUT",
        f"{recgate.gateway}/api/v2/recordings/deletionprotection?protect=true",
        token="records-abac",
        body={"conversationIds": IDS},
        headers=headers,
    )
    assert answer.status == status, answer


# === under `uniform` ===


@pytest.mark.parametrize("date", DATES)
@pytest.mark.parametrize("apply", [True, False], ids=["apply", "revoke"])
def test_uniform_answers_a_full_success_with_an_empty_list(uniform, date, apply):
    uniform.mock.set_date(date)
    result = protect(through(uniform, "records-eve"), ALL, apply=apply)
    assert isinstance(result, sdk.ManageDeleteProtectionResult)
    assert result.failed_updates == []
    assert [entry["status"] for entry in uniform.mock.journal()] == [204], "the vendor answered as ever"
    assert uniform.mock.protected(IDS) == (set(IDS) if apply else set())


def test_uniform_answers_a_partial_failure_with_the_vendors_list(uniform):
    assert failed(protect(through(uniform, "records-abac"), ALL)) == REFUSED
    assert uniform.mock.protected(IDS) == ALLOWED | AT_START


def test_uniform_leaves_an_error_an_error(uniform):
    status, body = refusal(protect, through(uniform, "records-apply"), ALL, apply=False)
    assert (status, body["code"]) == (403, "missing.permissions")
    assert uniform.mock.protected(IDS) == AT_START
