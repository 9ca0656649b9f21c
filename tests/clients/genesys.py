"""The vendor's Python SDK, pointed at an address by nothing but its own gateway setting.

It is the same file for both versions: what differs between them is what the tests are about. Nothing of the SDK is
edited or replaced; `set_gateway` and `access_token` are its public settings.
"""

import json
import os
import subprocess
import sys
import urllib.parse

import PureCloudPlatformClientV2 as sdk

from harness import conversation

# What serve prints as the SDK's `path_params_login` and `path_params_api`.
LOGIN_PREFIX = "/genesys-login"
API_PREFIX = "/genesys"

# The media that have a PATCH method in SDK 240, with the number of their open conversation.
PATCHED = {"call": 1, "callback": 2, "chat": 3, "cobrowsesession": 4, "email": 5, "message": 6}
# The nine with a PUT.
PUT = PATCHED | {"screenshare": 7, "social": 8, "video": 9}


def client(address, token=None, login=LOGIN_PREFIX, api=API_PREFIX):
    """An ApiClient that talks to `address` through the SDK's gateway setting."""
    host = urllib.parse.urlsplit(address)
    made = sdk.ApiClient()
    made.set_gateway(host.hostname, host.scheme, host.port, login, api)
    if token is not None:
        made.access_token = token
    return made


def through(recgate, token):
    return client(recgate.gateway, token)


def straight(recgate, token):
    """Around the gateway: the mock has the vendor's own paths and no prefixes."""
    return client(recgate.mock.url, token, login="", api="")


def integration(home, pointing=""):
    """A whole integration in a process of its own: signs in, pauses call 1, and prints what it was answered.

    `home` is where the SDK looks for its configuration file; `pointing` is the code that points it at a gateway, run
    with `sdk` and its full name imported and an `api_client` made, as in the SDK's own examples.
    """
    program = f"""
import PureCloudPlatformClientV2
import PureCloudPlatformClientV2 as sdk
api_client = sdk.api_client.ApiClient()
{pointing}
if api_client.gateway_configuration is None:
    api_client = sdk.api_client.ApiClient()
api_client.get_client_credentials_token("crm-service", "crm-secret")
body = sdk.Conversation()
body.recording_state = "paused"
done = sdk.ConversationsApi(api_client).patch_conversations_call("{conversation(1)}", body)
print(done.id, done.recording_state)
"""
    (home / ".genesyscloudpython").mkdir(exist_ok=True)
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program],
        env=os.environ | {"HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, f"{pointing}\n{ended.stderr}"
    return ended.stdout.split()


def patch(api_client, medium, state, number=None):
    """Sets the recording state as integrations have done since before WEM-449."""
    body = sdk.Conversation()
    body.recording_state = state
    method = getattr(sdk.ConversationsApi(api_client), f"patch_conversations_{medium}")
    return method(conversation(number or PATCHED[medium]), body)


def put(api_client, medium, state):
    body = sdk.SetRecordingState()
    body.recording_state = state
    method = getattr(sdk.ConversationsApi(api_client), f"put_conversations_{medium}_recordingstate")
    return method(conversation(PUT[medium]), body)


def protect(api_client, numbers, apply=True):
    body = sdk.ConversationDeletionProtectionQuery()
    body.conversation_ids = [conversation(number) for number in numbers]
    return sdk.RecordingApi(api_client).put_recordings_deletionprotection(protect=apply, body=body)


def refusal(call, *arguments, **named):
    """The ApiException that a call raises, as (status, ErrorBody); any other end is a failure."""
    try:
        result = call(*arguments, **named)
    except sdk.rest.ApiException as error:
        body = json.loads(error.body)
        assert isinstance(body, dict), f"not an ErrorBody: {body!r}"
        return error.status, body
    raise AssertionError(f"not refused, but answered with {result!r}")
