"""The inventory after real SDK traffic: who still lives on the old API, how, and whether the token would pass the new
permission. It survives a restart, because the ledger holds it."""

import harness
import pytest
from genesys import client, patch, protect, put, refusal, through

CLIENTS = """
[[client]]
name = "crm"
match = { oauth_client = "crm-service" }
"""
LEGACY = "PATCH /api/v2/conversations/{media}/{conversationId}"
PROTECTION = "PUT /api/v2/recordings/deletionprotection"


@pytest.fixture
def start(tmp_path):
    """Starts recgate on a ledger that stays, as often as it is asked to."""
    settings = {"ledger.url": f"sqlite:{tmp_path}/ledger.db", "mock.date": harness.CHANGE_DAY}
    return lambda: harness.Recgate(config=harness.config_with_clients(CLIENTS), settings=settings)


def signed_in(recgate):
    api = client(recgate.gateway)
    api.get_client_credentials_token("crm-service", "crm-secret")
    return api


def inventory(recgate):
    answer = harness.request("GET", f"{recgate.admin}/clients")
    assert answer.status == 200, answer
    assert answer.body["unread"] == 0
    return {entry["client"]: entry for entry in answer.body["clients"]}


def told(entry, operation):
    """The uses of an operation: how often, by which SDK, and the marks without those that are asserted elsewhere."""
    return sorted(
        (uses["count"], uses.get("sdk"), tuple(sorted(uses["marks"].items())))
        for uses in entry["uses"]
        if uses["operation"] == operation
    )


def marks(**words):
    return tuple(sorted(words.items()))


def test_what_real_traffic_leaves_behind_survives_a_restart(start):
    with start() as recgate:
        crm = signed_in(recgate)
        patch(crm, "call", "paused")
        patch(crm, "call", "paused")
        patch(crm, "email", "ACTIVE")
        # The new operation is no use of the old one.
        put(crm, "call", "PAUSED")
        # A participant without the new permission: the PUT is refused, the PATCH goes upstream after all.
        patch(through(recgate, "agent-ana"), "call", "Paused")
        status, _ = refusal(protect, through(recgate, "records-abac"), [21, 24])
        assert status == 409
        before = inventory(recgate)

    assert sorted(before) == ["crm", "default"]
    crm, rest = before["crm"], before["default"]
    assert (crm["count"], crm["sdks"], crm["shielded"]) == (3, ["240.0.0"], 0)
    assert crm["new_permission"] == {"accepted": 3, "refused": 0, "untold": 0}
    passes = {"body": "alone", "newPermission": "accepted"}
    assert told(crm, LEGACY) == [
        (1, "240.0.0", marks(media="emails", recordingState="ACTIVE", **passes)),
        (2, "240.0.0", marks(media="calls", recordingState="paused", **passes)),
    ]
    assert (rest["count"], rest["shielded"]) == (2, 1)
    assert rest["new_permission"] == {"accepted": 0, "refused": 1, "untold": 0}
    refused = marks(media="calls", recordingState="Paused", body="alone", newPermission="refused")
    assert told(rest, LEGACY) == [(1, "240.0.0", refused)]
    shielded = marks(action="apply", partialResult="shielded")
    assert told(rest, PROTECTION) == [(1, "240.0.0", shielded)]

    with start() as recgate:
        assert inventory(recgate) == before
        # Whose token it is, is learnt anew.
        patch(signed_in(recgate), "call", "paused")
        after = inventory(recgate)
    assert after["crm"]["count"] == 4
    assert after["crm"]["first_seen"] == before["crm"]["first_seen"]
    assert after["crm"]["last_seen"] > before["crm"]["last_seen"]
    assert after["default"] == before["default"]
