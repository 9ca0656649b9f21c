"""Requests and responses before they take a form, and the form: an entry of a HAR file.

What it assumes: HAR 1.2; bodies go as base64, so that no reader mends their encoding.
"""

import base64
from dataclasses import dataclass, field

from .text import encoded


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    query: tuple = ()  # (name, text)
    headers: tuple = ()
    cookies: tuple = ()
    content_type: str | None = None
    body: bytes | None = None

    def headed(self):
        more = (("Cookie", "; ".join(f"{name}={text}" for name, text in self.cookies)),) if self.cookies else ()
        return (*self.headers, *more, *((("Content-Type", self.content_type),) if self.content_type else ()))


@dataclass(frozen=True)
class Response:
    status: int
    headers: tuple = ()
    content_type: str | None = None
    body: bytes | None = None

    def headed(self):
        return (*self.headers, *((("Content-Type", self.content_type),) if self.content_type else ()))


@dataclass(frozen=True)
class Case:
    """One exchange, right or wrong by one thing."""

    document: str
    operation: str
    hop: str  # the hop that is wrong, or, of a right one, the one it is about
    where: str  # path, query, header, cookie, request body, form, multipart, response body, response header, message
    topic: str | None  # None: it is right
    pointer: str  # what it is about, in the document
    judge: str  # jsonschema, by hand
    request: Request
    response: Response = field(default_factory=lambda: Response(204))

    def entry(self, host):
        request = self.request
        query = "?" + encoded(request.query) if request.query else ""
        made = {"method": request.method, "url": f"http://{host}{request.path}{query}", "headers": _headers(request)}
        if request.body is not None:
            made["postData"] = _content(request)
        answer = {"status": self.response.status, "headers": _headers(self.response), "content": _content(self.response)}
        return {"startedDateTime": "2026-09-20T10:00:00Z", "request": made, "response": answer}


def _headers(message):
    return [{"name": name, "value": value} for name, value in message.headed()]


def _content(message):
    return {"size": len(message.body or b""), "mimeType": message.content_type or "", "text": base64.b64encode(message.body or b"").decode(), "encoding": "base64"}
