"""Secure pause by an integration written before WEM-449: SDK 240, unchanged, only pointed at the gateway.

Each promise is shown with its opposite: what the same call is answered straight by the vendor. The journal of the mock
tells which requests reached the vendor; reads are left out of the comparison where the promise is about writes.
"""

import harness
import pytest
from genesys import PATCHED, PUT, client, integration, patch, put, refusal, sdk, straight, through
from harness import conversation

WRITES = ("PATCH", "PUT", "POST", "DELETE")


def recorded(mock):
    """The writes that the vendor received, as (method, path)."""
    return [(entry["method"], entry["path"]) for entry in mock.journal() if entry["method"] in WRITES]


def media_path(medium):
    return f"/api/v2/conversations/{harness.MEDIA[PUT[medium] - 1]}/{conversation(PUT[medium])}"


# === sign-in ===


def test_signs_in_through_the_gateway_and_works_with_that_token(recgate, mock):
    api = client(recgate.gateway)
    api.get_client_credentials_token("crm-service", "crm-secret")
    assert api.access_token
    assert [(entry["method"], entry["path"]) for entry in mock.journal()] == [("POST", "/oauth/token")]
    assert put(api, "call", "PAUSED") == "PAUSED"


def test_a_wrong_secret_is_refused_by_the_vendor(recgate, mock):
    api = client(recgate.gateway)
    with pytest.raises(sdk.rest.ApiException) as error:
        api.get_client_credentials_token("crm-service", "wrong")
    assert error.value.status in (400, 401)
    assert [entry["path"] for entry in mock.journal()] == ["/oauth/token"]


def test_the_paths_without_prefixes_are_served_too(recgate, mock):
    api = client(recgate.gateway, login="", api="")
    api.get_client_credentials_token("crm-service", "crm-secret")
    assert put(api, "call", "PAUSED") == "PAUSED"
    assert recorded(mock) == [("POST", "/oauth/token"), ("PUT", media_path("call") + "/recordingstate")]


# === a supervisor who takes no part ===


@pytest.mark.parametrize("state", ["paused", "PAUSED"])
@pytest.mark.parametrize("medium", PATCHED)
def test_supervisor_pauses_by_the_old_method(recgate, mock, medium, state):
    answer = patch(through(recgate, "supervisor-dee"), medium, state)
    assert isinstance(answer, sdk.Conversation)
    assert answer.id == conversation(PATCHED[medium])
    assert answer.recording_state == "PAUSED"
    assert answer.participants, "a hollow Conversation: the read-back is missing"
    assert recorded(mock) == [("PUT", media_path(medium) + "/recordingstate")]


@pytest.mark.parametrize("medium", PATCHED)
def test_supervisor_resumes_by_the_old_method(recgate, mock, medium):
    api = through(recgate, "supervisor-dee")
    patch(api, medium, "paused")
    answer = patch(api, medium, "active")
    assert answer.id == conversation(PATCHED[medium])
    assert answer.recording_state == "ACTIVE"
    assert mock.methods(*WRITES) == ["PUT", "PUT"]


@pytest.mark.parametrize("medium", PATCHED)
def test_supervisor_straight_to_the_vendor_is_refused(recgate, medium):
    status, body = refusal(patch, straight(recgate, "supervisor-dee"), medium, "paused")
    assert (status, body["code"]) == (403, "conversation.error.forbidden.not.active.participant")


# === the three media that never had a PATCH ===


@pytest.mark.parametrize("medium", ["screenshare", "social", "video"])
def test_supervisor_pauses_media_without_the_old_method(recgate, mock, medium):
    answer = harness.request(
        "PATCH", recgate.gateway + media_path(medium), token="supervisor-dee", body={"recordingState": "paused"}
    )
    assert answer.status == 202, answer
    assert answer.body["id"] == conversation(PUT[medium])
    assert answer.body["recordingState"] == "PAUSED"
    assert recorded(mock) == [("PUT", media_path(medium) + "/recordingstate")]


@pytest.mark.parametrize("medium", ["screenshare", "social", "video"])
def test_agent_meets_the_vendors_404_for_media_without_the_old_method(recgate, mock, medium):
    old = {"token": "agent-ana", "body": {"recordingState": "paused"}}
    direct = harness.request("PATCH", mock.url + media_path(medium), **old)
    mock.forget()
    answer = harness.request("PATCH", recgate.gateway + media_path(medium), **old)
    assert direct.status == answer.status == 404
    assert answer.body["code"] == direct.body["code"]
    assert [entry["status"] for entry in mock.journal() if entry["method"] == "PATCH"] == [404]


# === agents who may pause their own conversations only ===


@pytest.mark.parametrize("medium", PATCHED)
@pytest.mark.parametrize("agent", ["agent-ana", "agent-fay"])
def test_agent_works_by_the_fallback_which_is_remembered(recgate, mock, agent, medium):
    api = through(recgate, agent)
    first = patch(api, medium, "paused")
    assert first.id == conversation(PATCHED[medium])
    writes = [(entry["method"], entry["status"]) for entry in mock.journal() if entry["method"] in WRITES]
    assert writes == [("PUT", 403), ("PATCH", 202)]
    mock.forget()
    second = patch(api, medium, "active")
    assert second.id == conversation(PATCHED[medium])
    assert recorded(mock) == [("PATCH", media_path(medium))]


@pytest.mark.parametrize("medium", PATCHED)
def test_agent_without_view_gets_the_minimal_answer(recgate, mock, medium):
    answer = patch(through(recgate, "agent-eli"), medium, "paused")
    assert answer.id == conversation(PATCHED[medium])
    assert answer.recording_state == "PAUSED"
    assert answer.self_uri == f"/api/v2/conversations/{conversation(PATCHED[medium])}"
    assert answer.participants is None, "the read-back is not permitted, so nothing else can be known"
    assert answer.secure_pause is None, "securePause is never invented"
    assert recorded(mock) == [("PUT", media_path(medium) + "/recordingstate")]


@pytest.mark.parametrize(
    ("principal", "code"),
    [
        ("agent-ben", "conversation.error.forbidden.not.active.participant"),
        ("agent-cho", "conversation.error.forbidden.not.active.participant"),
        ("agent-dan", "missing.permissions"),
        ("nobody", "missing.permissions"),
    ],
)
@pytest.mark.parametrize("medium", PATCHED)
def test_who_may_not_pause_is_refused_with_the_vendors_error(recgate, mock, principal, code, medium):
    direct = refusal(patch, straight(recgate, principal), medium, "paused")
    status, body = refusal(patch, through(recgate, principal), medium, "paused")
    assert (status, body["code"]) == (direct[0], direct[1]["code"])
    assert status == 403
    # `nobody` lacks the permission and takes no part: which of the two the vendor says first is not published.
    if principal != "nobody":
        assert body["code"] == code
    assert all(entry["status"] >= 400 for entry in mock.journal())


# === a machine without a user ===


@pytest.mark.parametrize("medium", PATCHED)
def test_a_machine_uses_the_old_method_through_the_gateway_alone(recgate, mock, medium):
    def signed_in(address, login, prefix):
        api = client(address, login=login, api=prefix)
        api.get_client_credentials_token("crm-service", "crm-secret")
        return api

    status, body = refusal(patch, signed_in(mock.url, "", ""), medium, "paused")
    assert (status, body["code"]) == (400, "not.a.user")
    api = signed_in(recgate.gateway, "/genesys-login", "/genesys")
    mock.forget()
    answer = patch(api, medium, "paused")
    assert answer.id == conversation(PATCHED[medium])
    assert answer.recording_state == "PAUSED"
    assert recorded(mock) == [("PUT", media_path(medium) + "/recordingstate")]


# === the new method itself ===


@pytest.mark.parametrize("medium", PUT)
@pytest.mark.parametrize("principal", ["supervisor-dee", "crm-service"])
def test_the_new_method_passes_as_it_is(recgate, mock, principal, medium):
    api = through(recgate, principal)
    if principal == "crm-service":
        api.get_client_credentials_token("crm-service", "crm-secret")
        mock.forget()
    assert put(api, medium, "PAUSED") == "PAUSED"
    assert put(api, medium, "ACTIVE") == "ACTIVE"
    assert recorded(mock) == [("PUT", media_path(medium) + "/recordingstate")] * 2


# === what is not a pause ===


def test_other_uses_of_the_old_method_pass_untouched(recgate, mock):
    body = sdk.Conversation()
    body.state = "disconnected"
    sdk.ConversationsApi(through(recgate, "agent-ana")).patch_conversations_call(conversation(1), body)
    [entry] = [entry for entry in mock.journal() if entry["method"] in WRITES]
    assert (entry["method"], entry["path"]) == ("PATCH", media_path("call"))
    assert entry["body"] == {"state": "disconnected"}


def test_an_ended_conversation_is_not_reported_as_paused(recgate, mock):
    direct = refusal(patch, straight(recgate, "agent-ana"), "call", "paused", 10)
    status, body = refusal(patch, through(recgate, "agent-ana"), "call", "paused", 10)
    assert (status, body["code"]) == (direct[0], direct[1]["code"])


# === pointing an SDK at it: the exact lines that serve prints ===

ONE_PAUSE = [("POST", "/oauth/token"), ("PUT", media_path("call") + "/recordingstate")]


def test_the_printed_line_of_code_is_enough(recgate, mock, tmp_path):
    told = integration(tmp_path, recgate.printed_code("Python"))
    assert told == [conversation(1), "PAUSED"]
    assert recorded(mock) == ONE_PAUSE


def test_the_printed_configuration_file_is_enough(recgate, mock, tmp_path):
    """No line of code: a [gateway] section in the file that the SDK reads at its start."""

    def section_of(lines):
        lines = [line.strip() for line in lines]
        if "[gateway]" not in lines or "" not in lines[lines.index("[gateway]") :]:
            return None
        start = lines.index("[gateway]")
        return lines[start : lines.index("", start)]

    section = recgate.printed(section_of)
    (tmp_path / ".genesyscloudpython").mkdir()
    (tmp_path / ".genesyscloudpython" / "config").write_text(
        "[general]\nlive_reload_config = false\n" + "\n".join(section) + "\n"
    )
    assert integration(tmp_path) == [conversation(1), "PAUSED"]
    assert recorded(mock) == ONE_PAUSE
