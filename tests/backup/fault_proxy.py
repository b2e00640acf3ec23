"""An HTTP proxy in front of the S3 server that misbehaves as told."""

from __future__ import annotations

import base64
import http.client
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal

Fault = Literal[
    "", "403", "404", "407", "503", "507", "500-after-body", "reset", "reset-mid-body", "lose-reply",
    "fake-200", "expired", "skewed", "flip", "stall", "slow", "lie-about-size", "lie-about-sum",
    "cut-reply", "flip-reply",
]  # fmt: skip
_ANSWERS = {
    "403": 403, "404": 404, "407": 407, "503": 503, "507": 507, "500-after-body": 500, "fake-200": 200,
    "expired": 403, "skewed": 403,
}  # fmt: skip
_ERROR = "<?xml version='1.0'?><Error><Code>{}</Code><Message>{}</Message></Error>"
_BODIES = {
    "507": _ERROR.format("XMinioStorageFull", "Storage backend has reached its capacity."),
    "expired": _ERROR.format("AccessDenied", "Request has expired"),
    "skewed": _ERROR.format(
        "RequestTimeTooSkewed", "The difference between the clocks is too large."
    ),
}
_HOP = {"connection", "keep-alive", "transfer-encoding"}


@dataclass(frozen=True)
class Asked:
    """One request: how often this method was asked for this path (from 1), and of all (from 1)."""

    method: str
    path: str
    of_path: int
    of_method: int
    by_curl: bool


@dataclass
class FaultProxy:
    """`rule` says which fault each request meets."""

    target_port: int
    rule: Callable[[Asked], Fault] = lambda _asked: ""
    asked: list[Asked] = field(default_factory=list)
    faults: list[tuple[str, Fault]] = field(default_factory=list)
    port: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def judge(self, method: str, path: str, agent: str) -> Fault:
        with self._lock:
            same = [one for one in self.asked if one.method == method]
            seen = sum(one.path == path for one in same)
            asked = Asked(method, path, seen + 1, len(same) + 1, agent.startswith("curl"))
            self.asked.append(asked)
            fault = self.rule(asked)
            if fault:
                self.faults.append((method, fault))
            return fault


@contextmanager
def proxying(target_port: int) -> Iterator[FaultProxy]:
    proxy = FaultProxy(target_port)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    proxy.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield proxy
    finally:
        proxy.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            path = self.path.partition("?")[0]
            fault = proxy.judge(self.command, path, self.headers.get("User-Agent", ""))
            length = int(self.headers.get("Content-Length") or 0)
            if fault.startswith("reset"):
                self.rfile.read(length // 2 if fault == "reset-mid-body" else 0)
                return self._reset()
            if fault in {"stall", "slow"}:
                return self._dawdle(fault, length)
            body = self.rfile.read(length)
            if fault in _ANSWERS:
                return self._answer(_ANSWERS[fault], {}, _BODIES.get(fault, "").encode())
            if fault == "flip" and body:
                body = bytes([body[0] ^ 1]) + body[1:]
            status, headers, reply = self._ask(body)
            if fault == "lie-about-size":
                headers["Content-Length"] = str(int(headers["Content-Length"]) - 1)
            if fault == "lie-about-sum":
                name = next(name for name in headers if name.lower() == "x-amz-checksum-sha256")
                headers[name] = base64.b64encode(bytes(32)).decode()
            if fault == "lose-reply":
                return self._reset()
            if fault == "cut-reply":  # it promises all, and ends half-way
                told = headers | {"Content-Length": str(len(reply))}
                return self._answer(status, told, reply[:-7])
            if fault == "flip-reply" and reply:
                reply = bytes([reply[0] ^ 1]) + reply[1:]
            return self._answer(status, headers, reply)

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _forward  # noqa: N815  # so called there

        def _ask(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
            line = http.client.HTTPConnection("127.0.0.1", proxy.target_port, timeout=30)
            headers = {name: value for name, value in self.headers.items()}  # noqa: C416
            try:
                line.request(self.command, self.path, body=body or None, headers=headers)
                reply = line.getresponse()
                return reply.status, dict(reply.getheaders()), reply.read()
            finally:
                line.close()

        def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            kept = {name: value for name, value in headers.items() if name.lower() not in _HOP}
            kept.setdefault("Content-Length", str(len(body)))
            for name, value in kept.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
            if len(body) < int(kept["Content-Length"]):
                self.close_connection = True

        def _dawdle(self, fault: Fault, length: int) -> None:
            """Read nothing more, or a kilobyte a second, until the other side has had enough."""
            for _ in range(length // 1024):
                if fault == "slow":
                    self.rfile.read(1024)
                if proxy.closing.wait(1):
                    break
                readable, _, _ = select.select([self.connection], [], [], 0)
                if readable and not self.connection.recv(1, socket.MSG_PEEK):
                    break
            self._reset()

        def _reset(self) -> None:
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()

        def log_message(self, *_args: object) -> None:
            return

        def handle(self) -> None:
            try:
                super().handle()
            except (OSError, ValueError):
                self.close_connection = True

        def finish(self) -> None:
            try:
                super().finish()
            except (OSError, ValueError):
                self.close_connection = True

    return Handler
