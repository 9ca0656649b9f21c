"""Other people's documents, as data: reading YAML as OpenAPI means it, following `$ref`, listing operations.

What it assumes: references stay inside one document (these do). A place in a document is a tuple of names and indices
throughout, never a text, so that nothing has to be escaped twice.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from harness import ROOT

HOME = ROOT.parent / "shared" / "vendor" / "openapi-conformance" / "specs"
METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


class _Core(yaml.SafeLoader):
    """YAML 1.2's core schema: `no` is a word, and a date is a text."""

    yaml_implicit_resolvers = {}


for _tag, _form, _first in (
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
):
    _Core.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_form), list(_first))


@dataclass(frozen=True)
class Operation:
    """One operation, with the places of what it declares."""

    document: "Document"
    method: str
    path: str
    place: tuple
    parameters: tuple  # places of Parameter Objects, references followed
    node: dict = field(compare=False)

    @property
    def name(self):
        return f"{self.method.upper()} {self.path}"


class Document:
    def __init__(self, path):
        self.path = path
        self.name = f"{path.parent.name}/{path.stem}"
        self.host = re.sub("[^a-z0-9]+", "-", self.name.lower()).strip("-")
        self.tree = yaml.load(path.read_text(encoding="utf-8"), _Core)
        self.is_30 = str(self.tree["openapi"]).startswith("3.0")

    def operations(self):
        for path, item in self.tree.get("paths", {}).items():
            for method in METHODS:
                if method not in item:
                    continue
                place = ("paths", path, method)
                named = {}
                for owner in (place[:2], place):
                    for index in range(len(at(self.tree, owner).get("parameters", ()))):
                        found = follow(self.tree, (*owner, "parameters", index))
                        node = at(self.tree, found)
                        named[node["in"], node["name"]] = found
                yield Operation(self, method, path, place, tuple(named.values()), item[method])


def all_documents():
    """Every document, sorted by name; none where the shared data is absent."""
    files = [path for path in Path(HOME).rglob("*") if path.suffix in (".yaml", ".yml")] if HOME.is_dir() else []
    return [Document(path) for path in sorted(files)]


def at(tree, place):
    for step in place:
        tree = tree[step]
    return tree


def target(reference):
    """The place that a reference inside a document names."""
    if not reference.startswith("#/"):
        raise ValueError(f"a reference out of the document: {reference}")
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in reference[2:].split("/"))


def pointer(place):
    """RFC 6901."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)


def follow(tree, place):
    """Where a Reference Object leads in the end; the place itself where there is none."""
    node = at(tree, place)
    while isinstance(node, dict) and "$ref" in node:
        place = target(node["$ref"])
        node = at(tree, place)
    return place
