"""One broken value for every keyword of every schema that a root schema reaches.

A mutant **isolates** its keyword: `jsonschema` refuses the value, and takes it once that one keyword is struck from the
schema. Where no value can (a wrong type is in no `enum` either), a value is taken whose errors name the keyword at that
place. A keyword for which neither is found is told as `Barren`, with the reason, and never dropped.

Beside the keywords: for each schema that takes no `null`, a `null`, because that is how `nullable` is got wrong; for each
number and boolean its own text, because that is how coercion goes too far, and for each integer a fraction; for each name of `required` a value without it; for `oneOf` a value that fits none and one that fits two.
What is left out: keywords inside `not` and `if`, which widen or choose and forbid nothing by themselves.
"""

import copy
import itertools
from dataclasses import dataclass

from . import values
from .documents import at, target
from .examples import EXTRA, selecting, same
from .patterns import sample

# Keywords that forbid nothing by themselves: notes, and those whose schemas are visited on their own.
SILENT = {
    "title", "description", "default", "example", "examples", "deprecated", "externalDocs", "xml", "nullable", "readOnly", "writeOnly",
    "contentEncoding", "contentMediaType", "$ref", "$defs", "$comment", "properties", "patternProperties", "prefixItems", "allOf", "if",
    "then", "else", "dependentSchemas",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    topic: str
    place: tuple  # the keyword's place in the document
    at: tuple  # the value's place in the message
    value: object  # the whole message
    isolates: bool
    by_hand: bool


@dataclass(frozen=True)
class Barren:
    topic: str
    place: tuple
    reason: str


@dataclass(frozen=True)
class Site:
    """A schema, and how a message reaches it."""

    place: tuple
    way: tuple
    inside: tuple


def sites(maker, place, way=(), inside=(), seen=None):
    """Every schema that speaks of a value, once, and its way."""
    tree = maker.tree
    seen = set() if seen is None else seen
    node = at(tree, place)
    if place in seen or not isinstance(node, dict):
        return
    seen.add(place)
    yield Site(place, way, inside)

    def onward(child, keyword, key, more):
        return sites(maker, child, (*way, (place, keyword, key)), inside + more, seen)

    if "$ref" in node:
        yield from onward(target(node["$ref"]), "$ref", None, ())
    for keyword in ("allOf", "oneOf", "anyOf"):
        for index in range(len(node.get(keyword, ()))):
            yield from onward((*place, keyword, index), keyword, index, ())
    for keyword in ("then", "else"):
        if keyword in node and "if" in node:
            yield from onward((*place, keyword), keyword, None, ())
    for name in node.get("dependentSchemas", ()):
        yield from onward((*place, "dependentSchemas", name), "dependentSchemas", name, ())
    for name in node.get("properties", ()):
        yield from onward((*place, "properties", name), "properties", name, (name,))
    for pattern in node.get("patternProperties", ()):
        name = sample(pattern)
        yield from onward((*place, "patternProperties", pattern), "patternProperties", name, (name,))
    if isinstance(node.get("additionalProperties"), dict):
        name = next(maker.examples((*place, "propertyNames")), EXTRA) if "propertyNames" in node else EXTRA
        yield from onward((*place, "additionalProperties"), "additionalProperties", name, (name,))
    first = len(node.get("prefixItems", ()))
    for index in range(first):
        yield from onward((*place, "prefixItems", index), "prefixItems", index, (index,))
    if isinstance(node.get("items"), dict):
        yield from onward((*place, "items"), "items", first, (first,))


class Mutator:
    def __init__(self, judge, maker):
        self.judge, self.maker, self.tree = judge, maker, judge.tree

    def mutants(self, root, reads, is_text):
        """Mutants and barren keywords of the schema at `root`.

        `reads` says whether a message can carry a whole value such that no reading of it is right: a text `7` in a
        query is a number to some. Where `is_text`, everything is a text, and `type: string` cannot be broken.
        """
        for site in sites(self.maker, root):
            bases = [base for base in itertools.islice(self.maker.examples(root, site.way), 6) if _reaches(base, site.inside)]
            node = at(self.tree, site.place)
            for keyword, place, changes in self._rules(site, node):
                yield self._first(root, site, bases, keyword, place, changes, reads, is_text)
            if "discriminator" in node:
                yield from self._discriminator(site, bases, node)

    def _rules(self, site, node):
        """(topic, place of the keyword, how to break it) for one schema."""
        place = site.place
        for keyword, rule in node.items():
            if keyword in SILENT or keyword == "discriminator" or keyword.startswith("x-"):
                continue
            if keyword == "required":
                for name in rule:
                    yield keyword, (*place, keyword), lambda value, name=name: values.without(value, name)
            elif keyword == "dependentRequired":
                for name in itertools.chain(*rule.values()):
                    yield keyword, (*place, keyword), lambda value, name=name: values.without(value, name)
            elif keyword in ("items", "additionalProperties", "unevaluatedProperties", "unevaluatedItems"):
                if rule is False:
                    yield keyword, (*place, keyword), getattr(values, f"break_{'items' if 'tems' in keyword else 'properties'}")
            elif keyword in ("contains", "propertyNames", "not"):
                made = list(itertools.islice(self.maker.examples((*place, keyword)), 4))
                breaker = getattr(values, {"contains": "break_contains", "propertyNames": "break_names", "not": "break_not"}[keyword])
                yield keyword, (*place, keyword), lambda value, breaker=breaker, rule=rule, made=made: breaker(value, rule, made)
            elif keyword in ("oneOf", "anyOf"):
                yield keyword, (*place, keyword), values.break_alternatives
                if keyword == "oneOf" and "discriminator" not in node:
                    made = [next(self.maker.examples((*place, keyword, index)), None) for index in range(len(rule))]
                    yield "oneOf (two fit)", (*place, keyword), lambda value, made=made: values.break_one_of(value, made)
            else:
                breaker = values.BREAKERS.get(keyword)
                yield keyword, (*place, keyword), breaker and (lambda value, breaker=breaker: breaker(value, node))
        kinds = node.get("type")
        if kinds is not None and "null" not in ([kinds] if isinstance(kinds, str) else kinds):
            yield "null", (*place, "type"), lambda value: [None]
        if kinds in ("integer", "number", "boolean"):
            yield "type (as a text)", (*place, "type"), values.as_text
        if kinds == "integer":
            yield "type (a fraction)", (*place, "type"), lambda value: [value + 0.5] if isinstance(value, int) else []

    def _first(self, root, site, bases, topic, place, changes, reads, is_text):
        """The first value that isolates the keyword, else the first whose errors name it."""
        if changes is None:
            return Barren(topic, place, "no way to break this keyword is known here")
        if topic == "format" and not values.wrong_samples(at(self.tree, place)):
            return Barren(topic, place, "every value has this format")
        if not bases:
            return Barren(topic, place, "no right message reaches it")
        keyword = place[-1]
        second, unreadable = None, False
        for base in bases:
            for change in changes(at(base, site.inside)):
                value = _put(base, site.inside, change)
                if same(value, base) or self.judge.takes(root, value):
                    continue
                if not reads(value):
                    unreadable = True
                    continue
                by_hand = keyword == "format" and values.is_by_hand(at(self.tree, place))
                if self.judge.takes(root, value, without=place):
                    return Mutant(topic, place, site.inside, value, True, by_hand)
                if keyword == "type" and is_text and "string" in at(self.tree, place):
                    unreadable = True
                    continue
                if second is None and topic != "oneOf (two fit)" and any(name == keyword for name, _ in self.judge.breaks(root, value)):
                    second = Mutant(topic, place, site.inside, value, False, by_hand)
        if second is not None:
            return second
        return Barren(topic, place, "a text can be read as what is wanted" if unreadable else "no value breaks it")

    def _discriminator(self, site, bases, node):
        """By hand: without the property; with a value that names nothing; with one that names another alternative."""
        place = (*site.place, "discriminator")
        name = node["discriminator"]["propertyName"]
        key = next((key for key in ("oneOf", "anyOf") if key in node), None)
        names = [selecting(self.tree, node, key, index) for index in range(len(node[key]))] if key else []
        told = set()
        for base in bases:
            value = at(base, site.inside)
            if not isinstance(value, dict) or name not in value:
                continue
            others = [it for it in names if it != value[name]]
            changes = [("discriminator (absent)", {k: v for k, v in value.items() if k != name}), ("discriminator (unknown)", value | {name: "no-such-schema"})]
            for other in others:
                there = (*site.place, key, names.index(other))
                changed = value | {name: other}
                if not self.judge.takes(there, changed):
                    changes.append(("discriminator (another)", changed))
            for topic, change in changes:
                whole = _put(base, site.inside, change)
                if topic not in told:
                    told.add(topic)
                    yield Mutant(topic, place, site.inside, whole, True, True)
        if not told:
            yield Barren("discriminator", place, "no right message reaches it")


def _reaches(base, inside):
    try:
        at(base, inside)
    except (LookupError, TypeError):
        return False
    return True


def _put(base, inside, value):
    if not inside:
        return value
    made = copy.copy(base)
    made[inside[0]] = _put(base[inside[0]], inside[1:], value)
    return made
