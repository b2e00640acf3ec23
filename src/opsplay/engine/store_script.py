"""The host's half of a backup: dump, compress, encrypt, cut into segments, hand each one over.

POSIX sh (`engine/host/equip.sh`, `store.sh`; dash, busybox), with PHP for what a host's own tools cannot do. It
never sees a credential or a key's name: it announces a segment, and sends it with a URL that fits
this segment only, or over the line. Protocol, one line each:

    host  HOST tool version · READY comp= crypt= send= tar= · RES n curl_status http code why
          SEG stream n bytes sha256 · END stream n · PIPE stream src= tee= comp= enc= bytes= sha256=
          trailer= · WHY … · LOST bytes (gzip of what tar did not pack follows) · DONE · ABORT why
    ours  TRY base64-of-curl-config · FILE name bytes (they follow) · GO
          PUT base64-of-curl-config · RELAY (the segment's bytes follow) · SKIP (next one) · STOP

`dd iflag=fullblock` cuts exactly; `head -c` loses data on a pipe. dash has no `pipefail`: every
stage leaves its exit status in a file. While one segment travels the next is made, so the spool
holds two, and no more.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass

from opsplay.engine.host import program
from opsplay.engine.store_survey import on_host
from opsplay.kit.shell import assign, command, quote

BLOCK = 65536
_LARGEST_BLOCK = 1 << 20
_PROGRAMS = ("equip.sh", "store.sh")


@dataclass(frozen=True)
class Saved:
    """One stream as the host makes it: what a script writes, or a tar archive of named files."""

    name: str
    """`database`, or `files-00`."""
    producer: str = ""
    """Script that writes the plain bytes to standard output; empty for a pack."""
    has_trailer: bool = False
    """Whether the plain bytes must end with the dump's own last line."""
    names: tuple[str, ...] = ()
    """What a pack holds: paths below `root`, as in an index. A directory's contents are not."""
    root: str = ""
    compressed: bool = True
    """False for what is compressed already, such as pictures."""

    @property
    def list_of_names(self) -> bytes:
        """Return the names as the host reads them: gzip, each name ending with NUL."""
        return gzip.compress(b"".join(on_host(name) + b"\0" for name in self.names), 1)


def host_script(
    streams: tuple[Saved, ...],
    *,
    spool: str,
    recipients: tuple[str, ...],
    segment_bytes: int,
    limit_rate: int = 0,
) -> str:
    """Return the script. `spool` names site and environment: what older attempts left is removed.

    Each attempt has a directory of its own, because one whose line was cut may still be ending.
    """
    settings: Mapping[str, str] = {
        "spool": spool,
        "full": str(segment_bytes),
        "block": str(_block(segment_bytes)),
        "rate": str(limit_rate),
        "recipients": " ".join(recipients),
        "pump": program("pump.pl"),
    }
    lines = [assign(name, value) for name, value in settings.items()]
    receivers = [word for one in recipients for word in ("-r", one)]
    encrypt = f"encrypt_by_age() {{ {command('age', *receivers)}; }}"
    saves = map(_save, streams)
    ending = "wait_for_sender\nsay DONE\n"
    return "\n".join([*lines, encrypt, *map(program, _PROGRAMS), *saves, ending])


def _block(segment_bytes: int) -> int:
    """Return how much dd(1) takes at a time: as much as divides a segment."""
    return _LARGEST_BLOCK if segment_bytes % _LARGEST_BLOCK == 0 else BLOCK


def _save(stream: Saved) -> str:
    producer = f"pack {quote(stream.root)}" if stream.names else f"(\n{stream.producer}\n)"
    trailer = "1" if stream.has_trailer else ""
    compressed = "1" if stream.compressed else "0"
    return f"produce() {{ {producer}; }}\n{command('save', stream.name, trailer, compressed)}"
