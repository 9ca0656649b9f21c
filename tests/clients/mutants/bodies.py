"""Values as bodies: JSON, forms, multipart, text, XML and files, as OpenAPI says that a schema of that media type is sent.

What it assumes: OpenAPI 3.0.3 §4.7.15 (Encoding Object): in multipart a primitive is text, an object JSON, an array a part
an item, `format: binary` a file; in forms every property has style `form`, exploded. XML is written plainly, an element a
property, only so that there is something to send: recgate does not read it, and says so.
"""

import itertools
import json
from xml.sax.saxutils import escape

from . import text
from .documents import at, follow
from .text import Unsayable

BOUNDARY = "mutants-boundary-7d1f"
SAMPLE_FILES = {"image/png": b"\x89PNG\r\n\x1a\n\x00\xff", "image/jpeg": b"\xff\xd8\xff\xe0\x00", "application/pdf": b"%PDF-1.7\n\xe2\xe3\xcf\xd3"}


def kind_of(media):
    essence = media.split(";")[0].strip().lower()
    if essence in ("*/*", "application/*") or essence == "application/json" or essence.endswith("+json"):
        return "json"
    if essence == "application/x-www-form-urlencoded":
        return "form"
    if essence == "multipart/form-data":
        return "multipart"
    if essence.endswith("/xml") or essence.endswith("+xml"):
        return "xml"
    return "text" if essence.startswith("text/") else "binary"


def is_text(media):
    """Whether what a schema speaks of is sent as bare text, so that everything is a string."""
    return kind_of(media) in ("form", "multipart", "text")


def sent_type(media):
    """The Content-Type that is sent for a declared one."""
    kind = kind_of(media)
    return "application/json" if "*" in media else f"multipart/form-data; boundary={BOUNDARY}" if kind == "multipart" else media


def encode(tree, place, media, value):
    """The bytes of a body; `place` is that of the Media Type Object. Raises `Unsayable`."""
    kind = kind_of(media)
    if kind == "json":
        return json.dumps(value, ensure_ascii=False).encode()
    if kind == "text":
        return text.scalar(value).encode()
    if kind == "binary":
        if not isinstance(value, str):
            raise Unsayable
        return SAMPLE_FILES.get(media, b"\x00\x01\xfe\xff")
    if kind == "xml":
        return f"<?xml version='1.0'?>{_element('root', value)}".encode()
    if not isinstance(value, dict):
        raise Unsayable
    if kind == "form":
        # Exploded, an object leaves its members in the form and its own name nowhere.
        if any(isinstance(member, dict) for member in value.values()):
            raise Unsayable
        return text.encoded([pair for name, member in value.items() for pair in text.pairs(name, member)]).encode()
    # A body without parts is no multipart: it would be wrong by that.
    if not value:
        raise Unsayable
    parts = [part for name, member in value.items() for part in _parts(name, member, *_declared(tree, place, name))]
    return b"".join(b"--" + BOUNDARY.encode() + b"\r\n" + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def readings(tree, place, media, value):
    """What a body may be taken for. A part that is JSON is taken for nothing else."""
    kind = kind_of(media)
    if kind == "multipart" and isinstance(value, dict):
        members = [_part_readings(tree, place, name, member) for name, member in value.items()]
        return [dict(zip(value, chosen, strict=True)) for chosen in itertools.product(*members)]
    return text.readings(value) if is_text(media) else [value]


def _part_readings(tree, place, name, member):
    schema, encoding = _declared(tree, place, name)
    if is_file(schema) or _is_json(member, schema, encoding):
        return [member]
    return list(text.readings(member))


def _declared(tree, place, name):
    """The schema of a part, references followed, and its Encoding Object."""
    owner = follow(tree, (*place, "schema"))
    schema = at(tree, follow(tree, (*owner, "properties", name))) if name in at(tree, owner).get("properties", {}) else {}
    return schema, at(tree, place).get("encoding", {}).get(name, {})


def _is_json(member, schema, encoding):
    return isinstance(member, dict) or encoding.get("contentType") == "application/json" or schema.get("type") == "object"


def _parts(name, member, schema, encoding):
    if isinstance(member, list):
        # One part says nothing of a list around it.
        if not member or schema.get("type") != "array":
            raise Unsayable
        return [part for item in member for part in _parts(name, item, schema.get("items", {}), encoding)]
    if isinstance(member, dict) and schema.get("type", "object") != "object":
        # As JSON it would be a text or a file like any other.
        raise Unsayable
    declared = encoding.get("contentType", "").split(",")[0].strip() or schema.get("contentMediaType", "")
    if is_file(schema):
        if not isinstance(member, str):
            raise Unsayable
        media = declared or "application/octet-stream"
        content = SAMPLE_FILES.get(media, b"\x00\x01\xfe\xff")
        return [_part(f'{name}"; filename="{name}.bin', media, content)]
    if _is_json(member, schema, encoding):
        return [_part(name, declared or "application/json", json.dumps(member).encode())]
    return [_part(name, declared, text.scalar(member).encode())]


def is_file(schema):
    return schema.get("format") == "binary" or "contentEncoding" in schema or "contentMediaType" in schema


def _part(name, media, content):
    head = f'Content-Disposition: form-data; name="{name}"\r\n' + (f"Content-Type: {media}\r\n" if media else "")
    return head.encode() + b"\r\n" + content


def _element(name, value):
    if isinstance(value, dict):
        inner = "".join(_element(key, member) for key, member in value.items())
    elif isinstance(value, list):
        inner = "".join(_element("item", item) for item in value)
    else:
        inner = escape("" if value is None else text.scalar(value))
    return f"<{name}>{inner}</{name}>"
