"""An upstream that counts, and the wire form of the cases in fixtures/.

What it is for: to tell "refused" from "refused after it was sent". The mock vendor judges; this one takes whatever
comes, remembers it byte for byte, and answers with a success of the operation's kind.
"""

import http.client
import http.server
import json
import threading
import urllib.parse


class Counting(http.server.ThreadingHTTPServer):
    """An upstream that remembers every request and answers each operation with a success."""

    daemon_threads = True

    def __init__(self):
        self.seen = []
        self.answer = None
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._serving = threading.Thread(target=self.serve_forever, daemon=True)

    def __enter__(self):
        self._serving.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
        self._serving.join()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _serve(self):
        if self.headers.get("Transfer-Encoding"):
            body = b""
            while size := int(self.rfile.readline().split(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path, body))
        answer = self.server.answer
        if answer is None and self.command == "GET":
            answer = {"items": []} if self.path.split("?")[0].endswith("/recordings") else {"id": "one"}
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(200 if content else 204)
        if content:
            self.send_header("Content-Type", "application/json;charset=UTF-8")
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def log_message(self, *_):
        pass


def expand(value):
    """The short forms of the fixtures, written out."""
    if isinstance(value, dict):
        if set(value) == {"$ids"}:
            return [f"{number:032x}" for number in range(value["$ids"])]
        if set(value) == {"$characters"}:
            count, character = value["$characters"]
            return character * count
        return {name: expand(member) for name, member in value.items()}
    return [expand(item) for item in value] if isinstance(value, list) else value


def send(gateway, method, prefix, case):
    """Sends a case with its path byte for byte behind `prefix`; returns the status, the headers and the body that was sent."""
    headers = {"Authorization": "Bearer t"} | case.get("headers", {})
    content = None
    if "raw" in case:
        content = case["raw"].encode()
    elif "body" in case:
        content = json.dumps(expand(case["body"])).encode()
        headers.setdefault("Content-Type", "application/json")
    host = urllib.parse.urlsplit(gateway)
    connection = http.client.HTTPConnection(host.hostname, host.port, timeout=30)
    try:
        connection.putrequest(method, prefix + case["path"], skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        if content is not None:
            connection.putheader("Content-Length", str(len(content)))
        connection.endheaders(content)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read(), content or b""
    finally:
        connection.close()
