"""recgate as the accused: its verdict on every case, by `recgate check`, and what it says of a document by `spec lint`.

What it assumes: that offline and live verdicts are equal, which a test of recgate's own proves through the socket. Each
document is the contract of an upstream of its own host, each case an entry of that document's HAR file.
What it refuses: a run in which an entry met no contract, or in which exchanges were left out of the list.
"""

import json
import os
import subprocess
from dataclasses import dataclass

DOCUMENTS_A_RUN = 40  # findings of one run are kept by kind, up to 10,000 kinds
DEADLINE_SECONDS = 300


# What is passed on unchanged is judged once, and found on the hop where it came in.
SIDES = {"client-request": ("client-request",), "client-response": ("client-response", "upstream-response")}


@dataclass(frozen=True)
class Verdict:
    verdict: str
    reason: str | None
    findings: tuple


CONFORMS = Verdict("conforms", None, ())


def program():
    if "RECGATE_BIN" not in os.environ:
        raise SystemExit("RECGATE_BIN is not set: name the binary to judge")
    return os.environ["RECGATE_BIN"]


def _environment():
    """Ours without what recgate would take for settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RECGATE_")}


def lint(documents):
    """Whether all documents load: the exit code and what was said."""
    ended = subprocess.run([program(), "spec", "lint", *(str(document.path) for document in documents)], capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, env=_environment())
    return ended.returncode, ended.stdout + ended.stderr


def judge(documents, cases, folder):
    """The verdict on each case, on the hop that the case is about. `cases`: by document's name."""
    found = {}
    for start in range(0, len(documents), DOCUMENTS_A_RUN):
        found |= _run(documents[start : start + DOCUMENTS_A_RUN], cases, folder)
    return found


def _run(documents, cases, folder):
    config = folder / "mutants.toml"
    config.write_text("".join(_upstream(document) for document in documents))
    files = {}
    for document in documents:
        entries = [case.entry(f"{document.host}.example") for case in cases[document.name]]
        if entries:
            path = folder / f"{document.host}.har"
            path.write_text(json.dumps({"log": {"version": "1.2", "creator": {"name": "mutants", "version": "1"}, "entries": entries}}))
            files[str(path)] = document.name
    output = folder / "outcome.json"
    command = [program(), "check", *files, "--config", str(config), "--format", "json", "--output", str(output)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, check=False, env=_environment())
    assert ended.returncode in (0, 1), f"recgate check ended with {ended.returncode}: {ended.stderr}"
    outcome = json.loads(output.read_text())
    assert (outcome["unmatched"], outcome["exchanges_left_out"]) == (0, 0)
    assert outcome["entries"] == sum(len(cases[name]) for name in files.values())
    silent = {hop: outcome["verdicts"][hop]["not_applicable"] for hop in ("client-request", "client-response")}
    assert not any(silent.values()), f"messages that the contract is said not to speak of: {silent}"
    kinds = {it["fingerprint"]: it for it in outcome["findings"]}
    told = {it["exchange"]: it for it in outcome["exchanges"]}
    found = {}
    for file, name in files.items():
        for number, case in enumerate(cases[name], 1):
            it = told.get(f"{file}#{number}")
            if it is None or (hop := it["hops"].get(case.hop)) is None:
                found[case] = CONFORMS
            else:
                mine = tuple(kinds[print_]["spec_pointer"] for print_ in it["findings"] if kinds[print_]["hop"] in SIDES[case.hop])
                found[case] = Verdict(hop["verdict"], hop.get("reason"), mine)
    return found


def _upstream(document):
    return f"""
[[upstream]]
name = "{document.host}"
vendor = "other"
url = "http://{document.host}.example"
prefixes = ["/{document.host}"]
contract = {{ document = {json.dumps(str(document.path))} }}
"""
