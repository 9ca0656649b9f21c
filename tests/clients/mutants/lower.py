"""OpenAPI schemas in the words of JSON Schema 2020-12, for `jsonschema`: our own lowering, of which recgate knows nothing.

What it assumes: OpenAPI 3.0.3 §4.7.24 and the clarification of `nullable` of 2021 (it widens the `type` beside it). Every
schema keeps its place in the document, so the place of a keyword here is its place there. One copy a direction, because
`readOnly` and `writeOnly` end a property's `required` in one of them.
What it refuses: siblings of `$ref` in 3.0 (there are none by its text).
"""

import copy
import urllib.parse

from jsonschema import Draft202012Validator

from .documents import at, follow, pointer
from .formats import CHECKER

# What holds schemas: by name, one, in a list.
MAPS = ("properties", "patternProperties", "dependentSchemas", "$defs")
ONES = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedProperties", "unevaluatedItems")
LISTS = ("allOf", "oneOf", "anyOf", "prefixItems")


def lowered(document, direction):
    """A copy of the document's tree with every schema lowered. `direction`: request, response."""
    tree = copy.deepcopy(document.tree)
    word = {"request": "readOnly", "response": "writeOnly"}[direction]

    def is_marked(place):
        node = at(tree, follow(tree, place))
        return isinstance(node, dict) and node.get(word) is True

    for place in list(_schemas(tree, ())):
        node = at(tree, place)
        if isinstance(node, dict) and "required" in node:
            node["required"] = [name for name in node["required"] if not (name in node.get("properties", {}) and is_marked((*place, "properties", name)))]
        if document.is_30 and isinstance(node, dict):
            _lower_30(node)
    return tree


def _lower_30(node):
    if "$ref" in node:
        for key in set(node) - {"$ref"}:
            del node[key]
    if node.get("nullable") is True and isinstance(node.get("type"), str):
        node["type"] = [node["type"], "null"]
        if "enum" in node and None not in node["enum"]:
            node["enum"] = [*node["enum"], None]
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if node.get(flag) is True:
            node[flag] = node.pop(bound)
        elif node.get(flag) is False:
            del node[flag]


def _schemas(tree, place):
    """The places of all schemas, outermost first, those of components included."""
    node = at(tree, place)
    if isinstance(node, list):
        for index in range(len(node)):
            yield from _schemas(tree, (*place, index))
    elif isinstance(node, dict):
        for key in node:
            if key == "schema":
                yield from _inside(tree, (*place, key))
            elif (*place, key) == ("components", "schemas"):
                for name in node[key]:
                    yield from _inside(tree, (*place, key, name))
            elif key not in ("example", "examples", "default"):
                yield from _schemas(tree, (*place, key))


def _inside(tree, place):
    yield place
    node = at(tree, place)
    if isinstance(node, dict):
        for child in children(node):
            yield from _inside(tree, (*place, *child))


def children(node):
    """The relative places of the schemas right below one."""
    for key in MAPS:
        yield from ((key, name) for name in node.get(key, ()))
    for key in ONES:
        if isinstance(node.get(key), dict | bool):
            yield (key,)
    for key in LISTS:
        yield from ((key, index) for index in range(len(node.get(key, ()))))


class Judge:
    """`jsonschema` over one lowered document."""

    def __init__(self, tree):
        self.tree = tree
        self._validators = {}

    def validator(self, place, without=None):
        """The validator of the schema at a place; `without` names a keyword by its place, and it is as if it were not there."""
        key = (place, without)
        if key not in self._validators:
            tree = self.tree if without is None else _removed(self.tree, without)
            root = {name: member for name, member in tree.items() if name in ("paths", "components")}
            root["$ref"] = "#" + urllib.parse.quote(pointer(place))
            self._validators[key] = Draft202012Validator(root, format_checker=CHECKER)
        return self._validators[key]

    def takes(self, place, value, without=None):
        return self.validator(place, without).is_valid(value)

    def breaks(self, place, value):
        """The keywords that a value breaks, with the place in the value, those inside alternatives included."""
        found = set()

        def gather(errors, above):
            for error in errors:
                inside = above + tuple(error.relative_path)
                found.add((error.validator, inside))
                gather(error.context, inside)

        gather(self.validator(place).iter_errors(value), ())
        return found


def _removed(tree, place):
    """A copy of the tree without the node at a place; only what lies on the way is copied."""
    step, *rest = place
    made = list(tree) if isinstance(tree, list) else dict(tree)
    if not rest:
        del made[step]
    else:
        made[step] = _removed(tree[step], rest)
    return made
