"""A text that a regular expression matches.

What it is for: samples for `pattern` and names for `patternProperties`. What it assumes: patterns that Python and ECMA-262
read alike; whether the text really matches is asked afterwards, of `jsonschema`.
"""

import re._constants as code
import re._parser as parser

_CATEGORIES = {code.CATEGORY_DIGIT: "5", code.CATEGORY_WORD: "a", code.CATEGORY_SPACE: " ", code.CATEGORY_NOT_DIGIT: "a", code.CATEGORY_NOT_SPACE: "a", code.CATEGORY_NOT_WORD: "-"}


def sample(pattern):
    return _text(parser.parse(pattern))


def _text(nodes):
    return "".join(_one(*node) for node in nodes)


def _one(kind, value):
    if kind is code.LITERAL:
        return chr(value)
    if kind is code.ANY:
        return "a"
    if kind is code.NOT_LITERAL:
        return "a" if value != ord("a") else "b"
    if kind is code.IN:
        return _of_set(value)
    if kind in (code.MAX_REPEAT, code.MIN_REPEAT):
        low, high, inner = value
        return _text(inner) * min(max(low, 1), high)
    if kind is code.BRANCH:
        return _text(value[1][0])
    if kind is code.SUBPATTERN:
        return _text(value[-1])
    return ""  # anchors and look-around take no text


def _of_set(members):
    if members[0][0] is code.NEGATE:
        refused = [_of_set([member]) for member in members[1:]]
        return next(letter for letter in "aZ5-~ _" if letter not in refused)
    kind, value = members[0]
    if kind is code.RANGE:
        return chr(value[0])
    return _CATEGORIES[value] if kind is code.CATEGORY else chr(value)
