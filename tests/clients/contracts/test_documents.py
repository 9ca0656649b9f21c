"""The contracts as documents: valid, complete, and readable by every tool that reads OpenAPI 3.0.

What recgate makes of them is judged elsewhere, through the gateway. This file asks what a gateway cannot answer: that
they are what they say they are, and that the overlay touches exactly what it names.
"""

import copy
import re

import harness
import pytest
import yaml
from openapi_spec_validator import OpenAPIV30SpecValidator

MEDIA = ("Call", "Callback", "Chat", "Cobrowsesession", "Email", "Message", "Screenshare", "Social", "Video")
OPERATIONS = {
    "genesys": {
        "postOauthToken",
        "getUsersMe",
        "getConversation",
        "getConversationRecordings",
        "patchConversationRecordingstate",
        "putRecordingsDeletionprotection",
        "postRecordingsDeletionprotection",
    }
    | {f"getConversations{medium}" for medium in MEDIA}
    | {f"patchConversations{medium}" for medium in MEDIA}
    | {f"putConversations{medium}Recordingstate" for medium in MEDIA},
    "webex": {
        "listRecordings",
        "listAdminRecordings",
        "getRecording",
        "deleteRecording",
        "deleteAdminRecording",
        "softDeleteRecordings",
        "restoreRecordings",
        "purgeRecordings",
    },
}


def document(name):
    return yaml.safe_load((harness.ROOT / "specs" / name).read_text())


def contract(vendor):
    return document(f"{vendor}.openapi.yaml")


def operations(read):
    for path, item in read["paths"].items():
        for method, operation in item.items():
            if method in ("get", "put", "post", "patch", "delete"):
                yield path, method, operation


def everything(value):
    """Every mapping in a document."""
    if isinstance(value, dict):
        yield value
        for member in value.values():
            yield from everything(member)
    elif isinstance(value, list):
        for item in value:
            yield from everything(item)


@pytest.mark.parametrize("vendor", OPERATIONS)
def test_is_valid_openapi_3_0_3(vendor):
    read = contract(vendor)
    assert read["openapi"] == "3.0.3"
    assert [str(error) for error in OpenAPIV30SpecValidator(read).iter_errors()] == []


@pytest.mark.parametrize("vendor", OPERATIONS)
def test_has_its_operations_and_no_others(vendor):
    found = [operation["operationId"] for _, _, operation in operations(contract(vendor))]
    assert sorted(found) == sorted(OPERATIONS[vendor])


@pytest.mark.parametrize("vendor", OPERATIONS)
def test_patterns_are_anchored_and_need_no_backtracking(vendor):
    patterns = [part["pattern"] for part in everything(contract(vendor)) if isinstance(part.get("pattern"), str)]
    assert patterns
    for pattern in patterns:
        assert pattern.startswith("^") and pattern.endswith("$")
        assert not re.search(r"\(\?[=!<]|\\[1-9]", pattern), "no lookaround, no backreference"
        re.compile(pattern)


@pytest.mark.parametrize("vendor", OPERATIONS)
def test_every_component_is_used(vendor):
    text = (harness.ROOT / "specs" / f"{vendor}.openapi.yaml").read_text()
    for kind, components in contract(vendor)["components"].items():
        if kind != "securitySchemes":
            for name in components:
                assert f'"#/components/{kind}/{name}"' in text, f"{kind}/{name} is never referred to"


@pytest.mark.parametrize("vendor", OPERATIONS)
def test_a_status_marked_inferred_says_so_in_words(vendor):
    for part in everything(contract(vendor)):
        if part.get("x-inferred"):
            assert "inferred" in part["description"].lower(), part


def test_what_is_carried_forward_is_marked():
    marked = {o["operationId"] for _, _, o in operations(contract("genesys")) if o.get("x-recgate") == "carried-forward"}
    assert marked == {"patchConversationsScreenshare", "patchConversationsSocial", "patchConversationsVideo"}


def test_the_overlay_takes_away_the_partial_success_and_nothing_else():
    overlay = document("genesys/before-2026-09-21.overlay.yaml")
    assert overlay["overlay"] == "1.0.0"
    assert overlay["extends"] == "../genesys.openapi.yaml"
    [action] = overlay["actions"]
    assert action["remove"] is True
    assert action["target"] == "$.paths['/api/v2/recordings/deletionprotection'].put.responses['200']"
    before = copy.deepcopy(contract("genesys"))
    responses = before["paths"]["/api/v2/recordings/deletionprotection"]["put"]["responses"]
    assert {"200", "204"} <= set(responses)
    del responses["200"]
    assert [str(error) for error in OpenAPIV30SpecValidator(before).iter_errors()] == []
    assert [status for status in responses if status.startswith("2")] == ["204"]
