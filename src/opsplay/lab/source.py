"""The local update source: answers as api.wordpress.org does and serves the archives.

Run as `python -m opsplay.lab.source PORT OFFERS PARTS`; ends on SIGTERM. Each request is one line
on standard error.
"""

from __future__ import annotations

import hashlib
import json
import signal
import sys
import zipfile
from collections.abc import Mapping
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from opsplay.lab import offers


class Source(ThreadingHTTPServer):
    """The server; `offered` is read anew at each request."""

    daemon_threads = True

    def __init__(self, port: int, offered: Path, parts: Path) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.offered = offered
        self.parts = parts
        self.base = f"http://127.0.0.1:{port}"


class _Handler(BaseHTTPRequestHandler):
    server: Source  # type: ignore[mutable-override]  # as the standard library's own handlers do
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(_last(parse_qs(body.decode())))

    def do_CONNECT(self) -> None:
        self.send_error(403, "the lab lets nothing out")
        self.close_connection = True

    def _answer(self, form: Mapping[str, str]) -> None:
        asked = urlsplit(self.path)
        query = _last(parse_qs(asked.query))
        if asked.path.startswith(("/release/", "/plugin/")):
            self._archive(asked.path)
        else:
            self._json(self._said(asked.path, {**query, **form}))

    def _said(self, path: str, asked: Mapping[str, str]) -> Any:
        known = offers.load(self.server.offered)
        base = self.server.base
        match path.strip("/").rpartition("/")[0]:
            case "core/version-check":
                return offers.core_answer(known, asked.get("version", "0"), base)
            case "plugins/update-check":
                installed = json.loads(asked.get("plugins", "{}")).get("plugins", {})
                return offers.plugins_answer(known, installed, base)
            case "themes/update-check":
                return {"themes": {}, "no_update": {}, "translations": []}
            case "plugins/info":
                return offers.plugin_answer(known, asked.get("request[slug]", ""), base)
            case "core/checksums":
                return {"checksums": checksums(self.server.parts, asked.get("version", ""))}
            case _:
                return None

    def _json(self, said: Any) -> None:
        body = json.dumps(said).encode()
        self._send(404 if said is None else 200, "application/json", body)

    def _archive(self, path: str) -> None:
        file = self.server.parts / path.rpartition("/")[2]
        if file.suffix == ".zip" and file.exists():
            self._send(200, "application/zip", file.read_bytes())
        else:
            self._json(None)

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@cache
def checksums(parts: Path, version: str) -> dict[str, str] | bool:
    """Return the MD5 sums of a core version's files, False for a version that is not there."""
    file = parts / f"wordpress-{version}.zip"
    if not file.exists():
        return False
    with zipfile.ZipFile(file) as archive:
        return {
            name.removeprefix("wordpress/"): hashlib.md5(archive.read(name)).hexdigest()  # noqa: S324  # the protocol's own
            for name in archive.namelist()
        }


def _last(fields: Mapping[str, list[str]]) -> dict[str, str]:
    return {name: values[-1] for name, values in fields.items()}


def main(port: str, offered: str, parts: str) -> None:
    """Serve until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with Source(int(port), Path(offered), Path(parts)) as server:
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
