"""A publisher on this machine, with all the faults that a network has."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Publisher:
    """What the server does, and what it was asked.

    Attributes:
        content: The file.
        etag: Sent if not empty.
        modified: Seconds since 1970, sent as Last-Modified if not 0.
        ranges: Whether it knows `Range`.
        obeys_if_range: Whether it looks at `If-Range`.
        breaks: After how many bytes of the body each of the next answers ends; None for one
            that does not.
        statuses: What the next answers say instead of 200.
        headers: More headers.
        stall: After how many bytes of a body it waits until `released`; 0 for never.
        path: Where the file is; elsewhere is 404.
        redirect: Where `/moved` leads.
        requests: The headers of each request.
        sent: Bytes of each body.
    """

    content: bytes = b""
    etag: str = '"one"'
    modified: float = 0
    ranges: bool = True
    obeys_if_range: bool = True
    breaks: list[int | None] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    path: str = "/file.zip"
    redirect: str = ""
    stall: int = 0
    released: threading.Event = field(default_factory=threading.Event)
    requests: list[dict[str, str]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def mark(self) -> str:
        if self.etag:
            return self.etag
        return formatdate(self.modified, usegmt=True) if self.modified else ""


class Handler(BaseHTTPRequestHandler):
    publisher: Publisher

    def do_GET(self) -> None:
        it = self.publisher
        it.requests.append(dict(self.headers))
        if it.statuses:
            return self._empty(it.statuses.pop(0))
        if it.redirect and self.path == "/moved":
            return self._empty(302, {"Location": it.redirect})
        if self.path.partition("?")[0] != it.path:
            return self._empty(404)
        start = 0
        asked = self.headers.get("Range")
        same = not it.obeys_if_range or self.headers.get("If-Range") in (None, it.mark())
        if asked and it.ranges and same:
            start = int(asked.removeprefix("bytes=").partition("-")[0])
            if start >= len(it.content):
                return self._empty(416, {"Content-Range": f"bytes */{len(it.content)}"})
        body = it.content[start:]
        self.send_response(206 if start else 200)
        if start:
            last = len(it.content) - 1
            self.send_header("Content-Range", f"bytes {start}-{last}/{len(it.content)}")
        self.send_header("Content-Length", str(len(body)))
        self._marks()
        self.end_headers()
        stop = it.breaks.pop(0) if it.breaks else None
        if it.stall:
            self.wfile.write(body[: it.stall])
            self.wfile.flush()
            it.released.wait(60)
            return None
        self.wfile.write(body[:stop])
        it.sent.append(len(body[:stop]))
        self.close_connection = True
        return None

    def _marks(self) -> None:
        it = self.publisher
        if it.etag:
            self.send_header("ETag", it.etag)
        if it.modified:
            self.send_header("Last-Modified", formatdate(it.modified, usegmt=True))
        for name, value in it.headers.items():
            self.send_header(name, value)

    def _empty(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self._marks()
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serve() -> Iterator[Publisher]:
    """Yields a publisher that listens on this machine."""
    it = Publisher()
    handler = type("Bound", (Handler,), {"publisher": it})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    it.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield it
    finally:
        it.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
