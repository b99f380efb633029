"""A bucket with object lock: an HTTP server that checks signatures as S3 does, with code of its own."""

from __future__ import annotations

import hashlib
import hmac
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ACCESS_KEY, SECRET_KEY, REGION = "AKIDEXAMPLE", "hunter2/secret", "eu-central-1"
LOCK_HEADERS = ("x-amz-object-lock-mode", "x-amz-object-lock-retain-until-date")


@dataclass
class Bucket:
    """`objects`: body and lock by path and version. Without `locks` it takes the headers and forgets them."""

    url: str = ""
    locks: bool = True
    shortens_to: str = ""
    refusal: tuple[int, str] | None = None
    objects: dict[tuple[str, str], tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def put(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, dict[str, str], str]:
        """Status, headers and text."""
        digest = b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        if headers.get("content-md5") != digest:
            return 400, {}, "<Error><Code>InvalidRequest</Code></Error>"
        lock = {name: headers[name] for name in LOCK_HEADERS if name in headers and self.locks}
        if self.shortens_to:
            lock[LOCK_HEADERS[1]] = self.shortens_to
        version = f"v{len(self.objects)}/+"
        self.objects[path, version] = (body, lock)
        return 200, {"x-amz-version-id": version}, ""

    def head(self, path: str, query: str) -> tuple[int, dict[str, str], str]:
        """Status, headers and text."""
        for (name, version), (_body, lock) in self.objects.items():
            if name == path and query == f"versionId={version.replace('/', '%2F').replace('+', '%2B')}":
                return 200, lock, ""
        return 404, {}, ""


def is_signed(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether the `Authorization` is the one that the owner of the secret key gives."""
    parsed = urlsplit(target)
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    parts = dict(part.split("=", 1) for part in rest.split(","))
    names = parts["SignedHeaders"].split(";")
    must = {"host", "x-amz-date", "x-amz-content-sha256"} | {name for name in headers if name.startswith("x-amz-")}
    if scheme != "AWS4-HMAC-SHA256" or not must <= set(names) or names != sorted(names):
        return False
    digest = hashlib.sha256(body).hexdigest()
    request = [method, parsed.path, parsed.query, *(f"{name}:{headers[name]}" for name in names), "", ";".join(names)]
    day, date = headers["x-amz-date"][:8], headers["x-amz-date"]
    scope = f"{day}/{REGION}/s3/aws4_request"
    canonical = hashlib.sha256("\n".join([*request, digest]).encode()).hexdigest()
    key = b"AWS4" + SECRET_KEY.encode()
    for word in (day, REGION, "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), "sha256").digest()
    expected = hmac.new(key, f"{scheme}\n{date}\n{scope}\n{canonical}".encode(), "sha256").hexdigest()
    is_right = headers["x-amz-content-sha256"] == digest and parts["Credential"] == f"{ACCESS_KEY}/{scope}"
    return is_right and parts["Signature"] == expected


@contextmanager
def running() -> Iterator[Bucket]:
    """A bucket that listens on this machine."""
    bucket = Bucket()

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.answer()

        def do_HEAD(self) -> None:
            self.answer()

        def answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            path, _, query = self.path.partition("?")
            bucket.asked.append(f"{self.command} {self.path}")
            status, given, text = 0, dict[str, str](), ""
            if bucket.refusal:
                status, text = bucket.refusal
            elif not is_signed(self.command, self.path, headers, body):
                status, text = 403, "<Error><Code>SignatureDoesNotMatch</Code></Error>"
            else:
                is_put = self.command == "PUT"
                status, given, text = bucket.put(path, headers, body) if is_put else bucket.head(path, query)
            self.send_response(status)
            for name, value in given.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    bucket.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
