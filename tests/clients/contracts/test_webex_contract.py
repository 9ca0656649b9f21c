"""Our Webex contract, judged through a running gateway whose upstream counts what arrives.

Two questions an operation: does everything arrive that the vendor takes, and does nothing that breaks its documented
rules? The cases of our own are data in fixtures/webex; the vendor's examples and schemas are read at run time.
"""

import json
import urllib.parse

import harness
import pytest
import yaml
from upstream import Counting, expand, send
from vendor_document import OPERATIONS, PATH, WITH_BODY, Vendor, load

ID = "4f914b1dfe3c4d11a61730f18c0f5387"
METHODS = {name: method.upper() for name, (_, method) in OPERATIONS.items()}
GENERATED = 200

ACCEPTED = json.loads((harness.ROOT / "fixtures/webex/accepted.json").read_text())
REFUSED = json.loads((harness.ROOT / "fixtures/webex/refused.json").read_text())

CONFIG = """
[gateway]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[[upstream]]
name = "webex"
vendor = "webex"
url = "{url}"
paths = ["/v1"]
contract = "webex"
checks = {{ client_request = "enforce", upstream_request = "report", upstream_response = "report", client_response = "report" }}
"""


@pytest.fixture(scope="module")
def upstream():
    with Counting() as server:
        yield server


@pytest.fixture(scope="module")
def gateway(upstream):
    with harness.Recgate(config=CONFIG.format(url=upstream.url), with_mock=False) as running:
        yield running.gateway


@pytest.fixture(autouse=True)
def nothing_seen_yet(upstream):
    upstream.seen.clear()
    upstream.answer = None


@pytest.fixture(scope="module")
def vendor():
    document = load()
    if document is None:
        pytest.skip(f"the vendor's document is not at {PATH}")
    return Vendor(document)


def assert_arrives(gateway, upstream, operation, case):
    upstream.seen.clear()
    status, headers, body, content = send(gateway, METHODS[operation], "/v1", case)
    assert 200 <= status < 300, f"refused: {status} {body!r}\n{case}"
    assert upstream.seen == [(METHODS[operation], "/v1" + case["path"], content)]
    verdicts = {part.strip() for part in headers["Recgate-Conformance"].split(",")}
    assert not any(verdict.endswith("=violates") for verdict in verdicts), f"{verdicts}\n{case}"
    return verdicts


def cases(of):
    return [
        pytest.param(operation, case, id=f"{operation}-{number:02d}")
        for operation in OPERATIONS
        for number, case in enumerate(of[operation], 1)
    ]


# === what the vendor takes ===


@pytest.mark.parametrize(("operation", "case"), cases(ACCEPTED))
def test_what_clients_send_arrives(gateway, upstream, operation, case):
    assert "client-request=conforms" in assert_arrives(gateway, upstream, operation, case)


def path_of(operation):
    return OPERATIONS[operation][0].replace("{recordingId}", ID)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_vendors_parameter_examples_arrive(gateway, upstream, vendor, operation):
    sent = 0
    for name, place, value in vendor.parameter_examples(operation):
        case = {"path": path_of(operation)}
        if operation in WITH_BODY:
            case["body"] = vendor.body_example(operation)
        if place == "query":
            case["path"] += "?" + urllib.parse.urlencode({name: value})
        elif place == "header":
            case["headers"] = {name: str(value)}
        else:
            case["path"] = OPERATIONS[operation][0].replace("{%s}" % name, str(value))
        assert_arrives(gateway, upstream, operation, case)
        sent += 1
    assert sent, "the vendor gives examples for every operation"


@pytest.mark.parametrize("operation", WITH_BODY)
def test_the_vendors_body_example_arrives(gateway, upstream, vendor, operation):
    assert_arrives(gateway, upstream, operation, {"path": path_of(operation), "body": vendor.body_example(operation)})


@pytest.mark.parametrize("operation", WITH_BODY)
def test_generated_bodies_arrive(gateway, upstream, vendor, operation):
    for body in vendor.bodies(operation, GENERATED, seed=2):
        assert_arrives(gateway, upstream, operation, {"path": path_of(operation), "raw": json.dumps(body), "headers": {"Content-Type": "application/json"}})


@pytest.mark.parametrize("operation", ["listRecordings", "listAdminRecordings", "getRecording"])
def test_the_vendors_response_example_conforms(gateway, upstream, vendor, operation):
    upstream.answer = vendor.response_example(operation)
    assert upstream.answer
    verdicts = assert_arrives(gateway, upstream, operation, {"path": path_of(operation)})
    assert {"upstream-response=conforms", "client-response=conforms"} <= verdicts


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_status_and_parameter_of_the_vendor_is_in_our_contract(vendor, operation):
    ours = yaml.safe_load((harness.ROOT / "specs/webex.openapi.yaml").read_text())
    path, method = OPERATIONS[operation]
    item = ours["paths"][path]
    assert item[method]["operationId"] == operation
    theirs = vendor.operation(operation)
    assert set(theirs["responses"]) <= set(item[method]["responses"])
    parameters = [
        ours["components"]["parameters"][reference["$ref"].rsplit("/", 1)[1]]
        for reference in item.get("parameters", []) + item[method].get("parameters", [])
    ]
    named = {(parameter["name"], parameter["in"]) for parameter in parameters}
    assert {(parameter["name"], parameter["in"]) for parameter in theirs["parameters"]} == named


# === what it does not ===


@pytest.mark.parametrize(("operation", "case"), cases(REFUSED))
def test_what_breaks_a_documented_rule_never_arrives(gateway, upstream, operation, case):
    status, headers, body, _ = send(gateway, METHODS[operation], "/v1", case)
    assert upstream.seen == [], f"{case['breaks']}: it reached the upstream"
    assert status == 400, f"{case['breaks']}: {status} {body!r}"
    assert headers["Content-Type"].startswith("application/json")
    told = json.loads(body)
    assert told["message"]
    assert told["errors"] and all(error["description"] for error in told["errors"])
    assert told["trackingId"] == headers["trackingId"]


@pytest.mark.parametrize("operation", OPERATIONS)
def test_there_are_at_least_ten_of_those(operation):
    wires = {json.dumps(expand({name: part for name, part in case.items() if name != "breaks"})) for case in REFUSED[operation]}
    assert len(wires) >= 10
    assert len(wires) == len(REFUSED[operation]), "no case twice"
