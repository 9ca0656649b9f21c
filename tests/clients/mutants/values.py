"""How a right value becomes a wrong one, keyword by keyword.

Each function takes the right value (and the schema, or what was made from it) and proposes wrong ones, the plainest
first. They need not all be wrong: whoever asks holds each against `jsonschema` and takes the first that is.
"""

import json

from .formats import BY_HAND, SAMPLES, TAKES_EVERYTHING

ANY = ("text", 7, 1.5, True, [], {}, None, ["text"], {"text": 7}, "", -1, 0, False, 1e9, "zz" * 40, "undefined")


def break_type(value, node):
    yield from (("text", 1.5) if isinstance(value, int) and not isinstance(value, bool) else ())
    yield from ANY


def as_text(value):
    if isinstance(value, int | float):
        yield json.dumps(value)


def break_listed(value, node):
    yield from {str: ("no-such-value", "x"), bool: (not value,), int: (-987, 654), float: (-987.5,)}.get(type(value), ())
    yield from ANY


def break_pattern(value, node):
    length = len(value) if isinstance(value, str) else 3
    for letter in ("!", "a", "1", "Z", " ", "§"):
        yield letter * length
    yield from (f"!{value}", f"{value}!", f"{value}a1", "", "no match")


def wrong_samples(name):
    return [] if name in TAKES_EVERYTHING else SAMPLES.get(name, ((), ()))[1]


def is_by_hand(name):
    return name in BY_HAND


def break_format(value, node):
    yield from wrong_samples(node["format"])


def below(value, node, key):
    step = node.get("multipleOf", 1)
    yield from (node[key] - step, node[key], node[key] - 0.5, node[key] - 100 * step)


def above(value, node, key):
    step = node.get("multipleOf", 1)
    yield from (node[key] + step, node[key], node[key] + 0.5, node[key] + 100 * step)


def break_multiple(value, node):
    step = node["multipleOf"]
    yield from (value + 1, value + step / 2, value + step / 3, value - 1, value + 0.001)


def longer(value, node):
    more = node["maxLength"] + 1
    if isinstance(value, str):
        yield (value or "a") + (value[-1:] or "a") * (more - len(value))
        yield (value + "a" * more)[:more]
    yield from (letter * more for letter in "aA1")


def shorter(value, node):
    if isinstance(value, str):
        yield value[: node["minLength"] - 1]
    yield from (letter * (node["minLength"] - 1) for letter in "aA1")


def more_items(value, node):
    if value == []:
        yield from ([filler] * (node["maxItems"] + 1) for filler in ANY)
    elif isinstance(value, list):
        missing = node["maxItems"] + 1 - len(value)
        yield value + [_other(value[-1], number) for number in range(1, missing + 1)]
        yield value + [value[-1]] * missing


def fewer_items(value, node):
    if isinstance(value, list):
        yield value[: node["minItems"] - 1]


def repeated(value, node):
    if isinstance(value, list) and value:
        yield [*value, value[0]]
        yield [value[0], value[0], *value[2:]]
        yield [value[0], value[0]]


def _other(value, number):
    """Another value of the same kind."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        return value + number
    if isinstance(value, str):
        return f"{value}{number}"
    return value | {f"extra{number}": number} if isinstance(value, dict) else [*value, number]


def fewer_members(value, node):
    if isinstance(value, dict):
        required = [name for name in value if name in node.get("required", ())]
        names = required + [name for name in value if name not in required]
        yield {name: value[name] for name in names[: node["minProperties"] - 1]}


def more_members(value, node):
    if isinstance(value, dict):
        names = [name for name in node.get("properties", {}) if name not in value] + [f"more{number}" for number in range(node["maxProperties"] + 1)]
        missing = node["maxProperties"] + 1 - len(value)
        yield from (value | dict.fromkeys(names[:missing], filler) for filler in (*value.values(), "text", 7, True))
        yield from (value | dict.fromkeys(names[-missing:], filler) for filler in (*value.values(), "text", 7, True))


def without(value, name):
    if isinstance(value, dict) and name in value:
        rest = {key: member for key, member in value.items() if key != name}
        yield rest
        yield rest | {"undeclared": "text"}  # where nothing at all cannot be sent


def break_properties(value):
    if isinstance(value, dict):
        yield from (value | {"undeclared": filler} for filler in ("text", 7, None, [], {}))


def break_items(value):
    if isinstance(value, list):
        yield from ([*value, filler] for filler in ("text", 7, None, [], {}))


def break_contains(value, rule, made):
    if isinstance(value, list):
        for filler in [_other(it, -1000) for it in made] + list(ANY):
            yield [filler] * len(value)
            yield [_other(filler, number) for number in range(len(value))]


def break_names(value, rule, made):
    if isinstance(value, dict):
        filler = next(iter(value.values()), "text")
        yield from (value | {name: filler} for name in ("NO SUCH NAME", "no such name", "1", "", "x" * 300))


def break_not(value, rule, made):
    yield from made
    yield from (value | it for it in made if isinstance(value, dict) and isinstance(it, dict))
    yield from (*rule.get("enum", ()), *([rule["const"]] if "const" in rule else ()))
    yield from ANY


def break_alternatives(value):
    if isinstance(value, dict):
        yield {}
        yield from ({key: member for key, member in value.items() if key != name} for name in value)
    yield from ANY


def break_one_of(value, made):
    parts = [it for it in made if isinstance(it, dict)]
    yield {key: member for part in parts for key, member in part.items()}
    for first in parts:
        for second in parts:
            yield first | second
    yield from ANY


BREAKERS = {
    "type": break_type,
    "enum": break_listed,
    "const": break_listed,
    "pattern": break_pattern,
    "format": break_format,
    "minimum": lambda value, node: below(value, node, "minimum"),
    "exclusiveMinimum": lambda value, node: below(value, node, "exclusiveMinimum"),
    "maximum": lambda value, node: above(value, node, "maximum"),
    "exclusiveMaximum": lambda value, node: above(value, node, "exclusiveMaximum"),
    "multipleOf": break_multiple,
    "minLength": shorter,
    "maxLength": longer,
    "minItems": fewer_items,
    "maxItems": more_items,
    "uniqueItems": repeated,
    "minProperties": fewer_members,
    "maxProperties": more_members,
    "minContains": lambda value, node: (value[: node["minContains"] - 1], []) if isinstance(value, list) else (),
    "maxContains": lambda value, node: ([value[0]] * (node["maxContains"] + 1),) if isinstance(value, list) and value else (),
}
