"""The reference libraries of Standard Webhooks, PyPI's and npm's, against what recgate sends.

Each verifies real deliveries of the built binary under either secret of a rotation, and signs the same message to the
same signature: whatever verifies the one verifies the other. A changed byte is refused.
"""

import datetime
import http.server
import json
import os
import pathlib
import queue
import shutil
import subprocess
import threading

import harness
import pytest
import standardwebhooks

NEW = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OLD = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
OTHER = "whsec_" + "QUJD" * 10


class Receiver(http.server.ThreadingHTTPServer):
    """Takes everything, and hands it over in the order in which it came."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.taken = queue.Queue()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204)
        self.end_headers()
        self.server.taken.put(({name.lower(): value for name, value in self.headers.items()}, body.decode()))

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory):
    """A pause and a resume of a conversation, as they were told: headers and body."""
    secrets = tmp_path_factory.mktemp("secrets")
    for name, secret in (("new", NEW), ("old", OLD)):
        (secrets / name).write_text(secret + "\n")
    receiver = Receiver()
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    config = (harness.ROOT / "config.toml").read_text() + f"""
[[subscription]]
name = "reference"
url = "http://127.0.0.1:{receiver.server_port}/hook"
events = ["recording.*"]
secret_file = "{secrets / 'new'}"
previous_secret_file = "{secrets / 'old'}"
allow = ["127.0.0.1"]
allow_http = true
"""
    with harness.Recgate(config=config) as recgate:
        url = f"{recgate.gateway}/api/v2/conversations/calls/{harness.conversation(1)}"
        for state in ("PAUSED", "ACTIVE"):
            answer = harness.request("PATCH", url, token="supervisor-dee", body={"recordingState": state})
            assert answer.status == 202, answer
        taken = [receiver.taken.get(timeout=30) for _ in range(2)]
    receiver.shutdown()
    receiver.server_close()
    return taken


def test_what_was_told_is_what_happened(deliveries):
    said = [json.loads(body) for _, body in deliveries]
    assert [it["type"] for it in said] == ["recording.paused", "recording.resumed"]
    assert {it["data"]["conversation"] for it in said} == {harness.conversation(1)}
    assert len({headers["webhook-id"] for headers, _ in deliveries}) == 2


@pytest.mark.parametrize("secret", [NEW, OLD])
def test_pypi_verifies_and_signs_the_same(deliveries, secret):
    webhook = standardwebhooks.Webhook(secret)
    for headers, body in deliveries:
        assert webhook.verify(body, headers) == json.loads(body)
        at = datetime.datetime.fromtimestamp(int(headers["webhook-timestamp"]), datetime.timezone.utc)
        own = webhook.sign(headers["webhook-id"], at, body)
        signatures = headers["webhook-signature"].split(" ")
        assert signatures[[NEW, OLD].index(secret)] == own


def test_pypi_refuses_what_was_changed(deliveries):
    for headers, body in deliveries:
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(OTHER).verify(body, headers)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(NEW).verify(body.replace("recording", "Recording", 1), headers)


@pytest.fixture(scope="module")
def npm():
    """Asks the npm library; installed by tests/run, which says where."""
    modules = os.environ.get("RECGATE_NPM", "")
    node = shutil.which("node")
    if not node or not modules:
        pytest.skip("node or the npm library is not on this machine")

    def ask(cases):
        script = pathlib.Path(__file__).with_name("verify.mjs")
        done = subprocess.run(
            [node, str(script), modules], input=json.dumps(cases), capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return ask


def test_npm_verifies_and_signs_the_same(deliveries, npm):
    cases = [
        {"secret": secret, "headers": headers, "body": body} for secret in (NEW, OLD) for headers, body in deliveries
    ]
    for case, answer in zip(cases, npm(cases), strict=True):
        assert answer["verified"] is True
        signatures = case["headers"]["webhook-signature"].split(" ")
        assert signatures[[NEW, OLD].index(case["secret"])] == answer["signature"]


def test_npm_refuses_what_was_changed(deliveries, npm):
    cases = [{"secret": OTHER, "headers": headers, "body": body} for headers, body in deliveries]
    cases += [{"secret": NEW, "headers": headers, "body": body + " "} for headers, body in deliveries]
    assert [answer["verified"] for answer in npm(cases)] == [False] * 4
