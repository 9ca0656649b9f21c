"""Values that a schema takes, made from the schema, and on request such that a given part of it has its say.

What it is for: a mutant of a keyword can only be told from noise if the message around it is right and reaches that
keyword: the alternative chosen, the optional property present, the list not empty. A **way** is that demand: steps
(place of the schema, keyword, key) from the root down to the schema in question.
What it assumes: nothing about its own success. What it makes is a proposal; `Judge` decides, and what it calls
right is handed on.
"""

import itertools
import json
import re

from .documents import at, target
from .formats import SAMPLES
from .patterns import sample

SAME_VALUE = ("$ref", "allOf", "oneOf", "anyOf", "then", "else", "if", "dependentSchemas")
EXTRA = "extra"
DEPTH = 4


class Maker:
    """Makes values for the schemas of one lowered document."""

    def __init__(self, judge):
        self.judge = judge
        self.tree = judge.tree
        self._scalars = {}

    def examples(self, place, way=()):
        """Different values that the schema at `place` takes, made the `way`."""
        seen = []
        for full, salt, branch in itertools.product((True, False), (0, 1, 2, 3), (0, 1, 2)):
            made = _Attempt(self, full, branch).value([place], way, salt, 0)
            if not any(same(made, other) for other in seen) and self.judge.takes(place, made):
                seen.append(made)
                yield made

    def scalar(self, places, number, proposals):
        """The value of that number among those proposed for some schemas that all of them take, round and round."""
        known, rest = self._scalars.setdefault(places, ([], proposals))
        while len(known) <= number:
            found = next((it for it in rest if all(self.judge.takes(place, it) for place in places)), _NONE)
            if found is _NONE:
                return known[number % len(known)] if known else "nothing fits"
            if not any(same(found, it) for it in known):
                known.append(found)
        return known[number]


_NONE = object()


def same(one, other):
    """Equality that tells `true` from `1`."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


class _Attempt:
    def __init__(self, maker, full, branch):
        self.maker, self.tree, self.judge = maker, maker.tree, maker.judge
        self.full, self.branch = full, branch

    # === what speaks of one value ===

    def _flat(self, place, way, found, forced):
        """All schemas that speak of the same value, alternatives chosen; returns what is left of the way."""
        if place in found:
            return way
        node = at(self.tree, place)
        found.append(place)
        if not isinstance(node, dict):
            return way
        here = way[0] if way and way[0][0] == place and way[0][1] in SAME_VALUE else None
        rest = way[1:] if here else way
        if "$ref" in node:
            rest = self._flat(target(node["$ref"]), rest, found, forced)
        for index in range(len(node.get("allOf", ()))):
            rest = self._flat((*place, "allOf", index), rest, found, forced)
        for key in ("oneOf", "anyOf"):
            if key in node:
                index = here[2] if here and here[1] == key else self.branch % len(node[key])
                rest = self._flat((*place, key, index), rest, found, forced)
                if "discriminator" in node:
                    forced[node["discriminator"]["propertyName"]] = selecting(self.tree, node, key, index)
        if "if" in node and (here is None or here[1] != "else"):
            if here is not None and here[1] == "then":
                rest = self._flat((*place, "if"), rest, found, forced)
            if "then" in node and here is not None:
                rest = self._flat((*place, "then"), rest, found, forced)
        elif "else" in node:
            rest = self._flat((*place, "else"), rest, found, forced)
        for name in node.get("dependentSchemas", ()):
            if self.full or (here is not None and here[2] == name):
                rest = self._flat((*place, "dependentSchemas", name), rest, found, forced)
        return rest

    # === one value ===

    def value(self, places, way, salt, depth):
        found, forced = [], {}
        for place in places:
            way = self._flat(place, way, found, forced)
        nodes = [(place, node) for place in found if isinstance(node := at(self.tree, place), dict)]
        step = way[0] if way else None
        kind = self._kind([node for _, node in nodes], step)
        if kind == "object":
            return self._object(nodes, way, forced, salt, depth)
        if kind == "array":
            return self._array(nodes, way, salt, depth)
        return self.maker.scalar(tuple(found), salt, self._scalars([node for _, node in nodes], kind))

    def _kind(self, nodes, step):
        types = None
        for node in nodes:
            if "type" in node:
                named = [node["type"]] if isinstance(node["type"], str) else node["type"]
                named = [*named, "integer"] if "number" in named else named
                types = named if types is None else [it for it in types if it in named]
        if any("enum" in node or "const" in node for node in nodes):
            return "listed"
        if step is not None:
            return "array" if step[1] in ("items", "prefixItems", "contains") else "object"
        if types:
            return next((it for it in types if it != "null"), "null")
        keys = set().union(*nodes) if nodes else set()
        for kind, words in (
            ("object", {"properties", "required", "additionalProperties", "patternProperties", "minProperties", "propertyNames", "dependentRequired"}),
            ("array", {"items", "prefixItems", "minItems", "contains", "uniqueItems"}),
            ("number", {"minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"}),
        ):
            if keys & words:
                return kind
        return "string"

    def _scalars(self, nodes, kind):
        """Proposals for a value without parts."""
        for node in nodes:
            yield from [node["const"]] if "const" in node else ()
            yield from (it for it in node.get("enum", ()) if it is not None)
            yield from (it for it in node.get("enum", ()) if it is None)
        yield from (it for node in nodes for it in SAMPLES.get(node.get("format"), ((), ()))[0])
        if kind == "boolean":
            yield from (True, False)
        elif kind == "null":
            yield None
        elif kind in ("integer", "number"):
            bounds = [node[key] for node in nodes for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if key in node]
            steps = [node["multipleOf"] for node in nodes if "multipleOf" in node] or [1]
            yield from () if kind == "integer" else (1.5, 2.25)
            yield from (7, 8, 9, 3, 1, 0, *range(10, 20))
            for bound, step, times in itertools.product(bounds or [0], steps, (0, 1, 2, -1, -2)):
                yield bound + step * times
                yield step * (int(bound / step) + times)
        else:
            lengths = sorted({node[key] for node in nodes for key in ("minLength", "maxLength") if key in node}, reverse=True)
            for text in (sample(node["pattern"]) for node in nodes if "pattern" in node):
                yield text
                yield from ((text + (text[-1:] or "a") * length)[:length] for length in lengths)
            yield from (letter * length for length in lengths for letter in "abc")
            yield from ("text", "other", "third", "a", "")
            yield from (f"text{number}" for number in range(2, 150))

    # === objects ===

    def _object(self, nodes, way, forced, salt, depth):
        step = way[0] if way else None
        declared = {}
        for place, node in nodes:
            for name in node.get("properties", ()):
                declared.setdefault(name, []).append((*place, "properties", name))
        wanted = dict.fromkeys(name for _, node in nodes for name in node.get("required", ()))
        if step:
            wanted[step[2]] = None
        low = max((node.get("minProperties", 0) for _, node in nodes), default=0)
        high = min((node["maxProperties"] for _, node in nodes if "maxProperties" in node), default=None)
        for name in declared:
            if (self.full and depth < DEPTH or len(wanted) < low) and (high is None or len(wanted) < high):
                wanted[name] = None
        names = (f"{EXTRA}{number or ''}" for number in range(100))
        while len(wanted) < low:
            wanted[next(names)] = None
        made = {}
        for name in wanted:
            places = self._places_of(name, nodes, declared)
            onward = way[1:] if step and step[2] == name else ()
            if name in forced and not onward:
                made[name] = forced[name]
            else:
                made[name] = self.value(places, onward, salt, depth + 1) if places else "text"
        return made

    def _places_of(self, name, nodes, declared):
        """The schemas that speak of a member."""
        places = list(declared.get(name, ()))
        for place, node in nodes:
            matched = [(*place, "patternProperties", pattern) for pattern in node.get("patternProperties", ()) if self._is_named(name, pattern)]
            places += matched
            if name not in node.get("properties", ()) and not matched and isinstance(node.get("additionalProperties"), dict):
                places.append((*place, "additionalProperties"))
        return places

    @staticmethod
    def _is_named(name, pattern):
        return re.search(pattern, name) is not None

    # === arrays ===

    def _array(self, nodes, way, salt, depth):
        step = way[0] if way else None
        prefix = [(*place, "prefixItems", index) for place, node in nodes for index in range(len(node.get("prefixItems", ())))]
        items = [(*place, "items") for place, node in nodes if isinstance(node.get("items"), dict)]
        contains = [(*place, "contains") for place, node in nodes if "contains" in node]
        low = max([node.get("minItems", 0) for _, node in nodes] + [node.get("minContains", 1) for _, node in nodes if "contains" in node])
        high = min((node["maxItems"] for _, node in nodes if "maxItems" in node), default=None)
        count = max(low, len(prefix), 1 if (depth < DEPTH or step) and self.full else 0, step[2] + 1 if step else 0)
        if high is not None:
            count = min(count, high)
        made = []
        for index in range(count):
            places = ([prefix[index]] if index < len(prefix) else items) + contains
            onward = way[1:] if step and step[2] == index else ()
            made.append(self.value(places, onward, salt + index, depth + 1) if places else f"text{index}")
        return made


def selecting(tree, node, key, index):
    """The value by which a discriminator names an alternative: of its mapping, a constant, its schema's name."""
    name = node["discriminator"]["propertyName"]
    reference = node[key][index].get("$ref")
    for value, wanted in node["discriminator"].get("mapping", {}).items():
        if reference is not None and wanted in (reference, reference.rsplit("/", 1)[-1]):
            return value
    if reference is not None:
        declared = at(tree, target(reference)).get("properties", {}).get(name, {})
        if "const" in declared or len(declared.get("enum", ())) == 1:
            return declared.get("const", declared.get("enum", [None])[0])
        return reference.rsplit("/", 1)[-1]
    return "text"
