"""The floor: what the twenty looks cost when nothing is planned, journalled or shown.

One process, one paramiko connection a host in a thread each, one fixed script that is written out
below and knows no steps; the answers are compared with what is wanted. Host keys are checked.
`python -m tests.bench.floor FILE`, where FILE names the hosts.
"""

from __future__ import annotations

import functools
import hashlib
import json
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.bench import job
from tests.bench.hosts import Fleet, Host

THREADS = 50


def script(root: Path) -> str:
    """Return the one script that looks at everything."""
    texts = " ".join(text.path for text in job.TEXTS)
    folders = " ".join(folder for folder, _ in job.DIRECTORIES)
    looks = "; ".join(f"grep -cxF '{line}' {job.SETTINGS}" for line in job.LINES)
    link = job.LINK[0]
    return (
        f"cd '{root}' && sha256sum {texts} && stat -c %a {texts} {folders} && readlink {link};"
        f" {looks}; test -e {job.ARCHIVE}; echo $?"
    )


def wanted(name: str) -> str:
    """Return what the script prints on a host on which there is nothing to do."""
    sums = [
        f"{hashlib.sha256(text.on(name).encode()).hexdigest()}  {text.path}" for text in job.TEXTS
    ]
    modes = [text.mode for text in job.TEXTS] + [mode for _, mode in job.DIRECTORIES]
    lines = [*sums, *modes, job.LINK[1], *("1" for _ in job.LINES), "0"]
    return "\n".join(lines) + "\n"


def write(path: Path, fleet: Fleet, hosts: Sequence[Host]) -> None:
    """Write the file that the process reads."""
    facts = {
        "user": fleet.user, "key": str(fleet.key), "port": fleet.port,
        "known_hosts": str(fleet.known_hosts),
        "hosts": [(host.name, host.address, script(host.root), wanted(host.name)) for host in hosts],
    }  # fmt: skip
    path.write_text(json.dumps(facts))


def _known(path: str) -> dict[str, str]:
    lines = (line.split() for line in Path(path).read_text().splitlines())
    return {name: f"{kind} {key}" for name, kind, key in lines}


def _look(facts: dict[str, Any], known: dict[str, str], key: Any, host: Sequence[str]) -> bool:
    import paramiko

    name, address, text, expected = host
    line = socket.create_connection((address, facts["port"]), timeout=30)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(line)
    try:
        transport.start_client(timeout=30)
        shown = transport.get_remote_server_key()
        if known[f"[{address}]:{facts['port']}"] != f"{shown.get_name()} {shown.get_base64()}":
            raise RuntimeError(f"{name}: the host key is another one")
        transport.auth_publickey(facts["user"], key)
        channel = transport.open_session()
        channel.exec_command(text)
        with channel.makefile("rb") as answer:
            return bool(answer.read().decode() == expected)
    finally:
        transport.close()


def main(path: str) -> int:
    """Look at all hosts; return how many are not as they should be."""
    import paramiko

    facts = json.loads(Path(path).read_text())
    key = paramiko.Ed25519Key.from_private_key_file(facts["key"])
    look = functools.partial(_look, facts, _known(facts["known_hosts"]), key)
    with ThreadPoolExecutor(THREADS) as pool:
        good = list(pool.map(look, facts["hosts"]))
    for (name, *_), fine in zip(facts["hosts"], good, strict=True):
        print(name, "ok" if fine else "differs")
    return good.count(False)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
