"""A storage in a folder that a host reaches by itself, and that can hold a request back.

It signs nothing: a URL names the one body that it is for, and no other is taken.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.backup.conftest import Bench

from opsplay.core.errors import VaultRefused
from opsplay.core.vault import SignedPut, Vault

_BAD_DIGEST = b"<Error><Code>BadDigest</Code><Message>another body</Message></Error>"


class HoldingVault:
    """A vault; `passes` is called before and after each PUT of ours, and with each request of a host."""

    signs = True

    def __init__(self, inner: Any, port: int, passes: Callable[[str], None]) -> None:
        self._inner, self._port, self._passes = inner, port, passes

    def sign_put(
        self,
        key: str,
        sha256: str,
        length: int,
        seconds: int = 900,
        *,
        retain_until: datetime | None = None,
        md5: str = "",
    ) -> SignedPut:
        return SignedPut(f"{self.sign_get(key)}?{sha256}", ())

    def sign_get(self, key: str, seconds: int = 900) -> str:
        return f"http://127.0.0.1:{self._port}/{key}"

    def put(self, key: str, body: bytes, **how: Any) -> Any:
        name = key.rpartition("/")[2][-20:]
        self._passes(f"store {name}")
        found = self._inner.put(key, body, **how)
        self._passes(f"stored {name}")
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


def in_a_folder(bench: Bench) -> None:
    """Have a bench keep its backups in a folder, for every process and quickly."""
    place = bench.home.parent / "vault"
    bench.settings = replace(bench.settings, kind="folder", folder=str(place))


@contextmanager
def holding(inner: Vault, passes: Callable[[str], None] = lambda _: None) -> Iterator[Any]:
    """Yield the vault as one that a host may send to and fetch from."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(inner, passes))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield HoldingVault(inner, server.server_port, passes)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(inner: Vault, passes: Callable[[str], None]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            passes("PUT arrives")
            key, _, sha256 = self.path[1:].partition("?")
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hashlib.sha256(body).hexdigest() != sha256:
                return self._answer(400, _BAD_DIGEST)
            try:
                inner.put(key, body)
            except VaultRefused:
                return self._answer(412)
            return self._answer(200)

        def do_GET(self) -> None:
            passes("GET arrives")
            self._answer(200, b"".join(inner.get(self.path[1:])))

        def _answer(self, status: int, body: bytes = b"") -> None:
            with suppress(OSError):  # whoever asked may be dead
                self.send_response_only(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_args: object) -> None:
            return

    return Handler
