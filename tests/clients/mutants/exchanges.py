"""The exchanges of one operation: right ones for every media type and status, and each mutant in its place.

What it is for: to bring a value that is wrong by one keyword to the wire with everything else right. Rules that are not
of JSON Schema (something required is absent, a media type or status that nobody declared, a credential that is missing)
are broken here, by hand.
What it assumes: a mutant that no text can say (a number where any text is right) is `Barren`, not a mutant.
"""

import itertools
from dataclasses import dataclass, replace

from . import bodies, text
from .documents import at, follow, pointer
from .examples import Maker
from .lower import Judge, lowered
from .message import Case, Request, Response
from .mutate import Barren, Mutator

RIGHT_ONES = 3
BASIC = "Basic YW5uOnNlY3JldA=="


@dataclass(frozen=True)
class Unbroken:
    """A keyword for which there is no mutant."""

    document: str
    where: str
    topic: str
    pointer: str
    reason: str


def of_document(document):
    """All cases of a document, and the keywords that no message can break."""
    cases, unbroken = [], []
    sides = {direction: _Side(document, direction) for direction in ("request", "response")}
    for operation in document.operations():
        made = _Exchanges(document, operation, sides)
        cases += made.cases()
        unbroken += made.unbroken
    return cases, unbroken


class _Side:
    """One direction of a document."""

    def __init__(self, document, direction):
        self.judge = Judge(lowered(document, direction))
        self.tree = self.judge.tree
        self.maker = Maker(self.judge)
        self.mutator = Mutator(self.judge, self.maker)

    def first(self, place):
        return next(self.maker.examples(place), "nothing fits")

    def all_wrong(self, place, readings):
        """Whether a value can be said, and every reading of it breaks the schema."""

        def check(value):
            try:
                return not any(self.judge.takes(place, it) for it in readings(value))
            except text.Unsayable:
                return False

        return check


class _Exchanges:
    def __init__(self, document, operation, sides):
        self.document, self.operation = document, operation
        self.asked, self.answered = sides["request"], sides["response"]
        self.tree = document.tree
        self.unbroken = []
        self.parameters = [(place, at(self.tree, place)) for place in operation.parameters]
        self.body = follow(self.tree, (*operation.place, "requestBody")) if "requestBody" in operation.node else None
        self.media = list(at(self.tree, self.body).get("content", {})) if self.body else []
        self.responses = {str(status): follow(self.tree, (*operation.place, "responses", status)) for status in operation.node["responses"]}

    # === the whole ===

    def cases(self):
        request, response = self._request(), self._responses()[0]
        yield from self._right()
        yield from self._parameter_mutants(request, response)
        yield from self._security_mutants(request, response)
        for media in self.media:
            yield from self._body_mutants(media, response)
        for answer, place, media in self._answers():
            yield from self._answer_mutants(request, answer, place, media)
        yield from self._status_mutants(request, response)

    def _case(self, hop, where, topic, place, judge, request, response):
        return Case(self.document.name, self.operation.name, hop, where, topic, pointer(place), judge, request, response)

    # === what is right ===

    def _right(self):
        requests = [self._request()]
        if any(not node.get("required") for _, node in self.parameters):
            requests.append(self._request(lean=True))
        for media in self.media:
            schema = (*self.body, "content", media, "schema")
            values = itertools.islice(self.asked.maker.examples(schema), RIGHT_ONES) if self._has_schema(self.body, media) else ()
            requests += [made for value in values if (made := self._with_body(media, value))]
        if self.body and not at(self.tree, self.body).get("required"):
            requests.append(replace(self._request(), body=None, content_type=None))
        for request in requests:
            yield self._case("client-request", "message", None, self.operation.place, "jsonschema", request, self._responses()[0])
        for response in self._responses(RIGHT_ONES):
            yield self._case("client-response", "message", None, self.operation.place, "jsonschema", requests[0], response)

    def _has_schema(self, owner, media):
        return "schema" in at(self.tree, owner)["content"][media]

    def _request(self, lean=False, **override):
        """The request with everything right; `override` gives parameters other values, by place."""
        made = {"query": [], "header": [], "cookie": []}
        path = self.operation.path
        for place, node in self.parameters:
            if lean and not node.get("required"):
                continue
            value = override["value"] if override.get("place") == place else self._right_value(place, node)
            style, explode = self._style(node)
            if node["in"] == "path":
                alone = f"/{{{node['name']}}}/" in f"{self.operation.path}/"
                path = path.replace("{%s}" % node["name"], text.segment(value, alone, explode))
            elif node["in"] == "header":
                made["header"].append((node["name"], text.header(value, explode)))
            else:
                made[node["in"]] += text.pairs(node["name"], value, style, explode)
        request = Request(self.operation.method.upper(), path, tuple(made["query"]), tuple(made["header"]), tuple(made["cookie"]))
        request = self._with_credentials(request)
        if self.media and self._has_schema(self.body, self.media[0]):
            media = self.media[0]
            value = self.asked.first((*self.body, "content", media, "schema"))
            request = replace(request, content_type=bodies.sent_type(media), body=bodies.encode(self.asked.tree, (*self.body, "content", media), media, value))
        return request

    def _style(self, node):
        style = node.get("style", text.DEFAULT_STYLE[node["in"]])
        return style, node.get("explode", style == "form")

    def _right_value(self, place, node):
        """The first right value that can be said there."""
        for value in self.asked.maker.examples((*place, "schema")):
            try:
                if node["in"] == "path":
                    text.segment(value, False)
                return value if list(text.readings(value)) else None
            except text.Unsayable:
                continue
        return self.asked.first((*place, "schema"))

    def _with_body(self, media, value):
        try:
            content = bodies.encode(self.asked.tree, (*self.body, "content", media), media, value)
        except text.Unsayable:
            return None
        return replace(self._request(), content_type=bodies.sent_type(media), body=content)

    def _answers(self):
        """(a right response, the place of its Response Object, its media type or None)"""
        for status, place in self.responses.items():
            for media in at(self.tree, place).get("content", {}) or [None]:
                made = self._response(status, place, media)
                yield made, place, media

    def _responses(self, count=1):
        found = []
        for status, place in self.responses.items():
            for media in at(self.tree, place).get("content", {}) or [None]:
                found.append(self._response(status, place, media))
                if media is not None and self._has_schema(place, media):
                    for value in itertools.islice(self.answered.maker.examples((*place, "content", media, "schema")), 1, count):
                        content = bodies.encode(self.answered.tree, (*place, "content", media), media, value)
                        found.append(replace(found[-1], body=content))
        return found

    def _response(self, status, place, media):
        number = 500 if status == "default" else int(status.upper().replace("X", "0"))
        headers = []
        for name in at(self.tree, place).get("headers", {}):
            owner = follow(self.tree, (*place, "headers", name))
            headers.append((name, text.header(self.answered.first((*owner, "schema")))))
        if media is None:
            return Response(number, tuple(headers))
        value = self.answered.first((*place, "content", media, "schema")) if self._has_schema(place, media) else "text"
        content = bodies.encode(self.answered.tree, (*place, "content", media), media, value)
        return Response(number, tuple(headers), bodies.sent_type(media), content)

    # === what is wrong ===

    def _sort(self, found, where):
        """Mutants; what is barren is put aside. In text, `null` and a number's text are no topics."""
        for it in found:
            if not isinstance(it, Barren):
                yield it
            elif not (it.topic in ("null", "type (as a text)") and where not in ("request body", "response body")):
                self.unbroken.append(Unbroken(self.document.name, where, it.topic, pointer(it.place), it.reason))

    def _parameter_mutants(self, request, response):
        for place, node in self.parameters:
            where, schema = node["in"], (*place, "schema")

            def build(value, place=place):
                return self._request(place=place, value=value)

            def sayings(value, build=build, place=place, node=node):
                if isinstance(value, dict) and not self._is_exploded_object(place, node):
                    raise text.Unsayable
                build(value)
                # The names of an exploded object are its own: one that nobody declared is a member of it.
                members = [{node["name"]: it} for it in text.readings(value)] if self._is_exploded_object(place, node) else []
                return itertools.chain(text.readings(value), members)

            for mutant in self._sort(self.asked.mutator.mutants(schema, self.asked.all_wrong(schema, sayings), is_text=True), where):
                yield self._case("client-request", where, mutant.topic, mutant.place, _judge(mutant), build(mutant.value), response)
            # An exploded object without members leaves no trace: where it may be empty it may be absent.
            can_be_missed = not (self._is_exploded_object(place, node) and self.asked.judge.takes(schema, {}))
            if node.get("required") and where != "path" and can_be_missed:
                gone = replace(request, query=_but(request.query, self._names(place, node)), headers=_but(request.headers, [node["name"]]), cookies=_but(request.cookies, [node["name"]]))
                yield self._case("client-request", where, "required parameter", (*place, "required"), "by hand", gone, response)

    def _is_exploded_object(self, place, node):
        style, explode = self._style(node)
        return style == "form" and explode and isinstance(self._right_value(place, node), dict)

    def _names(self, place, node):
        """The names under which a query parameter shows: of an exploded object its properties."""
        value = self._right_value(place, node)
        return [name for name, _ in text.pairs(node["name"], value, *self._style(node))] if node["in"] == "query" else [node["name"]]

    def _body_mutants(self, media, response):
        place = (*self.body, "content", media)
        where = {"form": "form", "multipart": "multipart"}.get(bodies.kind_of(media), "request body")
        if self._has_schema(self.body, media):
            schema = (*place, "schema")

            def sayings(value):
                bodies.encode(self.asked.tree, place, media, value)
                return bodies.readings(self.asked.tree, place, media, value)

            for mutant in self._sort(self.asked.mutator.mutants(schema, self.asked.all_wrong(schema, sayings), is_text=bodies.is_text(media)), where):
                yield self._case("client-request", where, mutant.topic, mutant.place, _judge(mutant), self._with_body(media, mutant.value), response)
        right = self._with_body(media, self.asked.first((*place, "schema")))
        if media == self.media[0]:
            for other in () if "*/*" in self.media else ("application/x-undeclared", None):
                yield self._case("client-request", "message", "content type", (*self.body, "content"), "by hand", replace(right, content_type=other), response)
            if at(self.tree, self.body).get("required"):
                yield self._case("client-request", "message", "required body", (*self.body, "required"), "by hand", replace(right, body=None, content_type=None), response)
        if bodies.kind_of(media) == "json":
            yield self._case("client-request", "message", "form of the body", place, "by hand", replace(right, body=right.body[:-1] + b"!"), response)
        for name, encoding in at(self.tree, place).get("encoding", {}).items():
            if "contentType" in encoding:
                declared = encoding["contentType"].split(",")[0].strip().encode()
                changed = replace(right, body=right.body.replace(b"Content-Type: " + declared, b"Content-Type: application/x-undeclared"))
                yield self._case("client-request", "multipart", "encoding", (*place, "encoding", name, "contentType"), "by hand", changed, response)

    def _answer_mutants(self, request, answer, place, media):
        def case(where, topic, at_place, judge, response):
            return self._case("client-response", where, topic, at_place, judge, request, response)

        for name in at(self.tree, place).get("headers", {}):
            owner = follow(self.tree, (*place, "headers", name))
            schema = (*owner, "schema")

            def sayings(value):
                text.header(value)
                return text.readings(value)

            def with_header(value, name=name):
                return replace(answer, headers=(*_but(answer.headers, [name]), (name, text.header(value))))

            for mutant in self._sort(self.answered.mutator.mutants(schema, self.answered.all_wrong(schema, sayings), is_text=True), "response header"):
                yield case("response header", mutant.topic, mutant.place, _judge(mutant), with_header(mutant.value))
            if at(self.tree, owner).get("required"):
                yield case("response header", "required header", (*owner, "required"), "by hand", replace(answer, headers=_but(answer.headers, [name])))
        if media is None:
            return
        content = (*place, "content", media)
        if self._has_schema(place, media):
            schema = (*content, "schema")

            def sayings(value):
                bodies.encode(self.answered.tree, content, media, value)
                return bodies.readings(self.answered.tree, content, media, value)

            for mutant in self._sort(self.answered.mutator.mutants(schema, self.answered.all_wrong(schema, sayings), is_text=bodies.is_text(media)), "response body"):
                yield case("response body", mutant.topic, mutant.place, _judge(mutant), replace(answer, body=bodies.encode(self.answered.tree, content, media, mutant.value)))
        if media == next(iter(at(self.tree, place)["content"])):
            if media != "*/*":
                yield case("message", "content type", (*place, "content"), "by hand", replace(answer, content_type="application/x-undeclared"))
            # No bytes are a text, an empty form and an empty file, but no JSON, XML or multipart.
            if all("*" not in it and bodies.kind_of(it) in ("json", "xml", "multipart") for it in at(self.tree, place)["content"]):
                yield case("message", "absent body", (*place, "content"), "by hand", replace(answer, body=None, content_type=None))
        if bodies.kind_of(media) == "json":
            yield case("message", "form of the body", content, "by hand", replace(answer, body=answer.body[:-1] + b"!"))

    def _status_mutants(self, request, response):
        if "default" not in self.responses:
            other = next(status for status in (299, 499, 599) if not {str(status), f"{status // 100}XX"} & {it.upper() for it in self.responses})
            yield self._case("client-response", "message", "status", (*self.operation.place, "responses"), "by hand", request, Response(other))

    # === credentials ===

    def _security(self):
        return self.operation.node.get("security", self.tree.get("security", []))

    def _with_credentials(self, request):
        for name in next(iter(self._security()), {}):
            scheme = at(self.tree, follow(self.tree, ("components", "securitySchemes", name)))
            if scheme["type"] == "apiKey":
                place = {"query": "query", "header": "headers", "cookie": "cookies"}[scheme["in"]]
                request = replace(request, **{place: (*getattr(request, place), (scheme["name"], "key"))})
            else:
                value = BASIC if scheme.get("scheme", "").lower() == "basic" else "Bearer token"
                request = replace(request, headers=(*request.headers, ("Authorization", value)))
        return request

    def _security_mutants(self, request, response):
        wanted = self._security()
        if not wanted or {} in wanted:
            return
        schemes = [at(self.tree, follow(self.tree, ("components", "securitySchemes", name))) for name in wanted[0]]
        names = ["Authorization", *(scheme["name"] for scheme in schemes if scheme["type"] == "apiKey")]
        gone = replace(request, query=_but(request.query, names), headers=_but(request.headers, names), cookies=_but(request.cookies, names))
        owner = self.operation.place if "security" in self.operation.node else ()
        yield self._case("client-request", "message", "security", (*owner, "security"), "by hand", gone, response)


def _but(pairs, names):
    return tuple(pair for pair in pairs if pair[0] not in names)


def _judge(mutant):
    return "by hand" if mutant.by_hand else "jsonschema, wrong by this keyword alone" if mutant.isolates else "jsonschema, wrong by this keyword and another"
