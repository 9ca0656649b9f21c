"""Secure pause by SDK 269: WEM-449 replaced nothing, so a new client's old PATCH is carried forward as well.

The chats left this SDK with 259; the other five media are here.
"""

import pytest
from genesys import PATCHED, PUT, client, integration, patch, put, refusal, sdk, straight, through
from harness import conversation

STILL_PATCHED = [medium for medium in PATCHED if medium != "chat"]
STILL_PUT = [medium for medium in PUT if medium != "chat"]


def test_this_sdk_has_no_chats():
    assert not hasattr(sdk.ConversationsApi, "patch_conversations_chat")


@pytest.mark.parametrize("medium", STILL_PATCHED)
def test_supervisor_pauses_by_the_old_method(recgate, mock, medium):
    refused = refusal(patch, straight(recgate, "supervisor-dee"), medium, "paused")
    assert refused[0] == 403
    mock.forget()
    answer = patch(through(recgate, "supervisor-dee"), medium, "paused")
    assert (answer.id, answer.recording_state) == (conversation(PATCHED[medium]), "PAUSED")
    assert answer.participants
    assert mock.methods("PUT", "PATCH") == ["PUT"]


@pytest.mark.parametrize("medium", STILL_PUT)
def test_the_new_method_passes_as_it_is(recgate, mock, medium):
    api = client(recgate.gateway)
    api.get_client_credentials_token("crm-service", "crm-secret")
    mock.forget()
    assert put(api, medium, "PAUSED") == "PAUSED"
    assert mock.methods() == ["PUT"]


def test_the_agnostic_method_passes_as_it_is(recgate, mock):
    body = sdk.SetRecordingState()
    body.recording_state = "PAUSED"
    api = sdk.ConversationsApi(through(recgate, "supervisor-dee"))
    assert api.patch_conversation_recordingstate(conversation(1), body) is None
    assert [(entry["method"], entry["path"]) for entry in mock.journal()] == [
        ("PATCH", f"/api/v2/conversations/{conversation(1)}/recordingstate")
    ]


def test_a_whole_conversation_patched_back_is_not_taken_for_a_pause(recgate, mock):
    """Read, change another member, write back: `recordingState` being there is no proof of intent."""
    api = sdk.ConversationsApi(through(recgate, "agent-ana"))
    whole = api.get_conversation(conversation(1))
    whole.external_tag = "order-17"
    mock.forget()
    try:
        api.patch_conversations_call(conversation(1), whole)
    except sdk.rest.ApiException as error:
        # What the vendor makes of it is the vendor's; a refusal by the gateway would not be in the journal.
        assert mock.journal(), error
    assert mock.methods() == ["PATCH"]


def test_the_printed_line_of_code_is_enough(recgate, mock, tmp_path):
    assert integration(tmp_path, recgate.printed_code("Python")) == [conversation(1), "PAUSED"]
    assert mock.methods("POST", "PUT", "PATCH") == ["POST", "PUT"]
