"""Starts the built binary as an operator would, and reads what the mock vendor saw.

What it is for: every test judges recgate from outside, through its sockets, as a client. So this file starts
`recgate serve` with free ports, waits until the admin side says it is ready, and offers the mock's control API, which
is on the mock's own listener.

What it assumes: the standard library alone, because it is imported into the environment of every SDK; that serve
prints a line `gateway  http://…`, one for `mock` and one for `admin`; and that SIGTERM drains and exits 0, which is
asserted each time a test ends.

What it refuses: to sleep and hope. Everything that takes time is a condition with a deadline.
"""

import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import namedtuple

BINARY = os.environ.get("RECGATE_BIN", "")
ROOT = pathlib.Path(os.environ.get("RECGATE_ROOT", pathlib.Path(__file__).resolve().parents[2]))
# The day of WEM-1493, and the days around it that a test may move the mock's clock to.
CHANGE_DAY = "2026-09-21"
DAY_BEFORE = "2026-09-20"
LONG_BEFORE = "2024-02-29"
LONG_AFTER = "2027-03-01"

READY_SECONDS = 30
DRAIN_SECONDS = 30

MEDIA = (
    "calls",
    "callbacks",
    "chats",
    "cobrowsesessions",
    "emails",
    "messages",
    "screenshares",
    "socials",
    "videos",
)


def conversation(number):
    """The id of a conversation of the mock's world; 1 to 9 are open, one a medium in the order of MEDIA."""
    return f"c0000000-0000-4000-8000-{number:012d}"


Response = namedtuple("Response", "status headers body")


def request(method, url, token=None, body=None, headers=None, raw=None):
    """One HTTP request with nothing added but what is asked for; an error status is a response, not an exception."""
    data = raw
    sent = dict(headers or {})
    if body is not None:
        data = json.dumps(body).encode()
        sent.setdefault("Content-Type", "application/json")
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    call = urllib.request.Request(url, data=data, method=method, headers=sent)
    try:
        with urllib.request.urlopen(call, timeout=30) as answer:
            status, fields, content = answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, fields, content = error.code, error.headers, error.read()
    try:
        content = json.loads(content) if content else None
    except ValueError:
        content = content.decode("utf-8", "replace")
    return Response(status, fields, content)


def config_with_clients(clients):
    """The project's own config.toml with its `[[client]]` entries replaced by these.

    A configuration file replaces the compiled-in one whole, so a test that is about clients keeps the rest of it.
    """
    kept, dropping = [], False
    for line in (ROOT / "config.toml").read_text().splitlines():
        if line.startswith("["):
            dropping = re.match(r"\[\[?client[\].]", line) is not None
        if not dropping:
            kept.append(line)
    return "\n".join(kept) + "\n" + clients


class Mock:
    """The vendor's control side: what it received, what it shall answer, which day it believes it is."""

    def __init__(self, url):
        self.url = url

    def _control(self, method, path, body=None):
        answer = request(method, f"{self.url}/_mock/{path}", body=body)
        assert 200 <= answer.status < 300, f"{method} /_mock/{path}: {answer.status} {answer.body}"
        return answer.body

    def journal(self):
        return self._control("GET", "journal")

    def forget(self):
        """Empties the journal, so that what follows stands alone in it."""
        self._control("DELETE", "journal")

    def state(self):
        return self._control("GET", "state")

    def set_date(self, date):
        self._control("PUT", "clock", {"date": date})

    def set_faults(self, *faults):
        self._control("PUT", "faults", list(faults))

    def methods(self, *only):
        """The methods received, in order; with arguments, those only."""
        return [entry["method"] for entry in self.journal() if not only or entry["method"] in only]

    def protected(self, ids):
        """Those of `ids` that are protected, by the vendor's own answer to a caller without an ABAC policy."""
        before = len(self.journal())
        answer = request(
            "POST",
            f"{self.url}/api/v2/recordings/deletionprotection",
            token="records-eve",
            body={"conversationIds": list(ids)},
        )
        assert answer.status == 200, answer
        assert len(self.journal()) == before + 1
        return {entry["id"] for entry in answer.body}


class Recgate:
    """A running `recgate serve`. Use as a context; leaving it stops the process and asserts a clean end."""

    def __init__(self, config=None, settings=None, with_mock=True):
        self._settings = dict(settings or {})
        self._config = config
        # serve starts the mock only where an upstream is the mock.
        self._with_mock = with_mock
        self._lines = []
        self._seen = threading.Condition()

    def __enter__(self):
        assert BINARY and os.access(BINARY, os.X_OK), f"RECGATE_BIN is not a binary: {BINARY!r}"
        self._directory = tempfile.TemporaryDirectory()
        directory = pathlib.Path(self._directory.name)
        command = [BINARY, "serve"]
        if self._config is not None:
            path = directory / "config.toml"
            path.write_text(self._config)
            command += ["--config", str(path)]
        for key, value in self._settings.items():
            command += ["--set", f"{key}={value}"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RECGATE_")}
        for part in ("GATEWAY", "MOCK", "ADMIN"):
            environment[f"RECGATE_{part}__LISTEN"] = "127.0.0.1:0"
        environment["RECGATE_LEDGER__URL"] = "memory:"
        self._log = open(directory / "stderr", "w+", encoding="utf-8", errors="replace")
        # The working directory is empty: the binary needs no file beside it.
        self._process = subprocess.Popen(
            command,
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.gateway = self._address("gateway")
            self.admin = self._address("admin")
            self.mock = Mock(self._address("mock")) if self._with_mock else None
            self._wait_ready()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(self, *exception):
        self._process.send_signal(signal.SIGTERM)
        try:
            code = self._process.wait(DRAIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            raise AssertionError(f"SIGTERM did not end it in {DRAIN_SECONDS} s\n{self.log()}") from None
        log = self.log()
        self._close()
        if exception[0] is None:
            assert code == 0, f"SIGTERM ended it with {code}\n{log}"
            assert "panicked" not in log, log

    def printed(self, find):
        """What `find` makes of the lines printed so far, as soon as it makes something of them."""
        with self._seen:
            self._seen.wait_for(lambda: find(self._text()) or None in self._lines, READY_SECONDS)
            found = find(self._text())
            assert found, f"serve did not print it: {self._text()}\n{self.log()}"
            return found

    def printed_code(self, label):
        """What stands behind a label such as `Python` or `wxc-sdk`: the exact line that an operator would paste."""

        def find(lines):
            return next((line.split(None, 1)[1] for line in lines if line.split()[:1] == [label]), None)

        return self.printed(find)

    def _text(self):
        return [line.rstrip() for line in self._lines if line is not None]

    def log(self):
        self._log.flush()
        self._log.seek(0)
        return self._log.read()[-4000:]

    def _read(self):
        for line in self._process.stdout:
            with self._seen:
                self._lines.append(line)
                self._seen.notify_all()
        with self._seen:
            self._lines.append(None)
            self._seen.notify_all()

    def _address(self, name):
        """The address that was printed for `name`, the first of its kind."""
        form = re.compile(rf"^\s*{name}\s+(https?://[^\s/]+)")
        return self.printed(lambda lines: next((hit.group(1) for hit in map(form.match, lines) if hit), None))

    def _wait_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                if request("GET", f"{self.admin}/readyz").status == 200:
                    return
            except OSError:
                pass
            assert time.monotonic() < deadline, f"not ready in {READY_SECONDS} s\n{self.log()}"
            assert self._process.poll() is None, f"ended with {self._process.returncode}\n{self.log()}"
            time.sleep(0.02)

    def _kill(self):
        self._process.kill()
        self._process.wait()
        self._close()

    def _close(self):
        self._reader.join(5)
        self._process.stdout.close()
        self._log.close()
        self._directory.cleanup()
