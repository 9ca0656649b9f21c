"""Values as text: parameters, headers and form fields in their styles, and what a text may be read as.

What it is for: in a query `7` may be a number or a text, and both readings are right somewhere. A mutant in text is only
wrong if every reading of it is, so `readings` lists them all, and `jsonschema` must refuse each.
What it refuses: values that have no text (`null`, an empty list), or one that would mean something else in its place.
"""

import itertools
import json
import re
import urllib.parse

DEFAULT_STYLE = {"query": "form", "cookie": "form", "path": "simple", "header": "simple"}


class Unsayable(Exception):
    """No text says this value there."""


def scalar(value):
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, list | dict):
        raise Unsayable
    return json.dumps(value)


def readings(value):
    """Whatever the text of a value may be taken for. What has parts may be taken for one text, too, and for its only part."""
    if isinstance(value, dict):
        for members in itertools.product(*(list(readings(member)) for member in value.values())):
            yield dict(zip(value, members, strict=True))
        yield json.dumps(value)
    elif isinstance(value, list):
        parts = [list(readings(item)) for item in value]
        yield from (list(items) for items in itertools.product(*parts))
        yield from parts[0] if len(parts) == 1 else [json.dumps(value)]
    else:
        text = scalar(value)
        found = [text]
        if re.fullmatch(r"-?[0-9]+", text):
            found.append(int(text))
        elif re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?", text):
            found.append(float(text))
        found += {"true": [True], "false": [False], "null": [None], "": [None]}.get(text, [])
        yield from found
        yield from ([it] for it in found)


def pairs(name, value, style="form", explode=True):
    """The (name, text) pairs of a query or a form."""
    if isinstance(value, list):
        if not value:
            raise Unsayable
        texts = [scalar(item) for item in value]
        separator = {"form": ",", "spaceDelimited": " ", "pipeDelimited": "|"}[style]
        return [(name, text) for text in texts] if explode else [(name, _joined(texts, separator))]
    if isinstance(value, dict):
        if not value:
            raise Unsayable
        members = [(key, scalar(member)) for key, member in value.items()]
        if style == "deepObject":
            return [(f"{name}[{key}]", text) for key, text in members]
        return members if explode else [(name, _joined([it for member in members for it in member], ","))]
    return [(name, scalar(value))]


def simple(value, explode=False):
    """Style `simple`, of paths and headers."""
    if isinstance(value, list):
        return _joined([scalar(item) for item in value], ",")
    if isinstance(value, dict):
        members = [(key, scalar(member)) for key, member in value.items()]
        return _joined([f"{key}={text}" for key, text in members] if explode else [it for member in members for it in member], ",")
    return scalar(value)


def _joined(texts, separator):
    if not texts or any(separator in text or text == "" for text in texts):
        raise Unsayable
    return separator.join(texts)


def header(value, explode=False):
    text = simple(value, explode)
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", text):
        raise Unsayable
    return text


def segment(value, alone, explode=False):
    """Text for a path; where its parameter shares the segment with other text, of letters and digits only."""
    text = simple(value, explode)
    if text in ("", ".", "..") or not (alone or re.fullmatch(r"[A-Za-z0-9]+", text)):
        raise Unsayable
    return urllib.parse.quote(text, safe="")


def encoded(all_pairs):
    return "&".join(f"{urllib.parse.quote(name, safe='')}={urllib.parse.quote(text, safe='')}" for name, text in all_pairs)
