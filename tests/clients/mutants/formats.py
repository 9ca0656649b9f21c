"""What each format takes and refuses: samples, and for OpenAPI's own formats the rule, written by hand.

What it is for: `jsonschema` knows the formats of JSON Schema; those of OpenAPI's format registry it takes for notes. Their
rules stand here, from the registry's text and the RFCs it names, and are counted as expectations written by hand.
`commonmark`, `html`, `password` and `binary` take every text, so no message can break them.
"""

import base64
import binascii
import math
import re
import struct

from jsonschema import Draft202012Validator, FormatChecker

TAKES_EVERYTHING = {"commonmark", "html", "password", "binary"}

# format: (samples that are right, samples that are wrong)
SAMPLES = {
    "date": (["2026-09-20", "2024-02-29"], ["2026-13-40", "yesterday"]),
    "date-time": (["2026-09-20T10:00:00Z", "2026-09-20T10:00:00.5+02:00"], ["2026-09-20 10 o'clock", "2026-13-20T10:00:00Z"]),
    "time": (["10:00:00Z", "23:59:01+01:00"], ["25:61:00Z", "noon"]),
    "duration": (["P3D", "PT1H30M"], ["3 days", "P"]),
    "email": (["ann@example.com", "bo@example.org"], ["ann.example.com", "no mail"]),
    "idn-email": (["änne@example.com", "bo@example.org"], ["no mail"]),
    "hostname": (["example.com", "a.example"], ["-bad-.example", "under_score.example"]),
    "idn-hostname": (["例え.example", "example.com"], ["-bad-", "a b"]),
    "ipv4": (["192.0.2.1", "198.51.100.7"], ["256.1.1.1", "192.0.2"]),
    "ipv6": (["2001:db8::1", "::1"], ["2001:db8:::1", "12345::"]),
    "uri": (["https://example.com/a?b#c", "urn:x:y"], ["not a uri", "//no/scheme"]),
    "uri-reference": (["/a/b?c", "https://example.com/"], ["\\\\bad\\ref", "a b"]),
    "iri": (["https://example.com/ä", "https://example.com/"], ["not an iri", "/relative"]),
    "iri-reference": (["/ä/b", "https://example.com/ä"], ["\\\\bad\\ref", "a b"]),
    "uri-template": (["/a/{b}", "/c{?d}"], ["/a/{b", "/a/}b"]),
    "uuid": (["8b7d2c0e-3a61-4f5e-9c55-0d9b1f4f2a10", "0c4b6d1e-7f62-4c1b-8f6e-5a9d3b2c1e00"], ["8b7d2c0e-3a61-4f5e-9c55", "no-uuid"]),
    "json-pointer": (["/a/0", "/b~1c"], ["a/0", "/a~2"]),
    "relative-json-pointer": (["0/a", "1#"], ["/a", "-1/a"]),
    "regex": (["^[a-z]+$", "a|b"], ["(", "[a"]),
    "byte": (["aGVsbG8=", "d29ybGQh"], ["no base64!", "aGVsbG8"]),
    "media-range": (["application/json", "text/*;q=0.5"], ["no media range", "application"]),
    "float": ([1.5, -2.25], [1e39, -3.5e38]),
    "double": ([1.5, -2.25], []),  # no number that Python can write is out of range
}
for _bits in (8, 16, 32, 64):
    SAMPLES[f"int{_bits}"] = ([7, -3], [2 ** (_bits - 1), -(2 ** (_bits - 1)) - 1])
    SAMPLES[f"uint{_bits}"] = ([7, 3], [2**_bits, -1])

CHECKER = FormatChecker(())
CHECKER.checkers = dict(Draft202012Validator.FORMAT_CHECKER.checkers)
BY_HAND = {"byte", "media-range", "float", "double"}


def is_base64(text):
    """RFC 4648 §4."""
    try:
        return not isinstance(text, str) or base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except binascii.Error:
        return False


def is_media_range(text):
    """RFC 9110 §12.5.1."""
    token = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
    quoted = r'"(?:[^"\\]|\\.)*"'
    return not isinstance(text, str) or re.fullmatch(rf"{token}/{token}(?:\s*;\s*{token}=(?:{token}|{quoted}))*", text) is not None


def is_float(value):
    if isinstance(value, bool) or not isinstance(value, int | float):
        return True
    try:
        return math.isfinite(struct.unpack("f", struct.pack("f", value))[0])
    except OverflowError:
        return False


CHECKER.checks("byte")(is_base64)
CHECKER.checks("media-range")(is_media_range)
CHECKER.checks("float")(is_float)
for _bits in (8, 16, 32, 64):
    for _name, _low, _high in ((f"int{_bits}", -(2 ** (_bits - 1)), 2 ** (_bits - 1)), (f"uint{_bits}", 0, 2**_bits)):
        BY_HAND.add(_name)
        CHECKER.checks(_name)(lambda value, low=_low, high=_high: isinstance(value, bool) or not isinstance(value, int) or low <= value < high)
