"""The vendor's own OpenAPI document as a judge of ours: its examples, and messages generated from its schemas.

What it assumes: that the document is where a checkout of the project with its shared data has it. It is third-party
data under CC BY 4.0 and no part of the project, so where it is absent these tests are skipped, and counted as skipped.

The vendor's schemas are looser than its own prose (no limit stands in a schema), so a generated message is first held
to that prose, as PROSE states it. What remains is what the vendor takes.
"""

import json
import random

from harness import ROOT

PATH = ROOT.parent / "shared" / "vendor" / "webex-meeting.openapi.json"

# Our operation, and the path and method of the vendor's.
OPERATIONS = {
    "listRecordings": ("/recordings", "get"),
    "listAdminRecordings": ("/admin/recordings", "get"),
    "getRecording": ("/recordings/{recordingId}", "get"),
    "deleteRecording": ("/recordings/{recordingId}", "delete"),
    "deleteAdminRecording": ("/admin/recordings/{recordingId}", "delete"),
    "softDeleteRecordings": ("/recordings/softDelete", "post"),
    "restoreRecordings": ("/recordings/restore", "post"),
    "purgeRecordings": ("/recordings/purge", "post"),
}
WITH_BODY = ("deleteRecording", "softDeleteRecordings", "restoreRecordings", "purgeRecordings")


def _bulk(flag):
    def holds(body):
        ids = body.get("recordingIds")
        return not ids if body.get(flag) else bool(ids) and len(ids) <= 100

    return holds


# The rules that the vendor states in prose alone, about a body that already fits its schema.
PROSE = {
    "deleteRecording": lambda body: len(body.get("comment") or "") <= 255,
    "softDeleteRecordings": lambda body: 1 <= len(body["recordingIds"]) <= 100,
    "restoreRecordings": _bulk("restoreAll"),
    "purgeRecordings": _bulk("purgeAll"),
}


def load():
    """The document, or None where it is absent."""
    return json.loads(PATH.read_text()) if PATH.exists() else None


class Vendor:
    def __init__(self, document):
        self._document = document

    def operation(self, name):
        path, method = OPERATIONS[name]
        return self._document["paths"][path][method]

    def resolve(self, schema):
        while "$ref" in schema:
            schema = self._document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return schema

    def body_schema(self, name):
        [content] = self.operation(name)["requestBody"]["content"].values()
        return content["schema"]

    def body_example(self, name):
        [content] = self.operation(name)["requestBody"]["content"].values()
        return content["example"]

    def response_example(self, name):
        """The example of the 200, or None for an operation that answers 204."""
        contents = self.operation(name)["responses"].get("200", {}).get("content", {})
        return next((content["example"] for content in contents.values()), None)

    def parameter_examples(self, name):
        """(name, place, value) for every parameter: its example, each value of its enum, its default if it is one."""
        found = []
        for parameter in self.operation(name).get("parameters", ()):
            schema = self.resolve(parameter["schema"])
            values = list(schema.get("enum", ()))
            if "example" in parameter:
                values.append(parameter["example"])
            if "default" in schema and schema["type"] != "string":
                values.append(schema["default"])
            found += [(parameter["name"], parameter["in"], value) for value in values]
        return found

    def bodies(self, name, count, seed):
        """`count` bodies out of the schema that keep the vendor's prose; the same ones for the same seed."""
        dice = random.Random(f"{name} {seed}")
        schema = self.body_schema(name)
        found, tries = [], 0
        while len(found) < count:
            tries += 1
            assert tries < 50 * count, f"{name}: its schema and its prose hardly agree"
            body = self._generate(schema, dice)
            if PROSE[name](body):
                found.append(body)
        return found

    def _generate(self, schema, dice):
        schema = self.resolve(schema)
        if "enum" in schema:
            return dice.choice(schema["enum"])
        kind = schema["type"]
        if kind == "object":
            made = {}
            names = list(schema.get("properties", {}))
            dice.shuffle(names)
            for name in names:
                if name in schema.get("required", ()) or dice.random() < 0.7:
                    made[name] = self._generate(schema["properties"][name], dice)
            # The schemas are open, so what they do not name is theirs as well.
            for _ in range(dice.choice((0, 0, 0, 1, 3))):
                made[f"x{dice.randrange(1000)}"] = dice.choice((None, 1, 1.5, "a", True, [], {"a": [1]}))
            return made
        if kind == "array":
            length = dice.choice((0, 1, 1, 2, 3, 17, 99, 100, 101))
            return [self._generate(schema["items"], dice) or "id" for _ in range(length)]
        if kind == "string":
            alphabet = dice.choice(("abc XYZ-_", "äß€漢", "𝄞😀", '"\\/\b\n\t', "\u0000\u007f\u2028\ufeff", "0123456789abcdef"))
            return "".join(dice.choice(alphabet) for _ in range(dice.choice((0, 1, 5, 32, 100, 254, 255, 256))))
        if kind == "boolean":
            return dice.random() < 0.5
        raise AssertionError(f"no generator for {schema}")
