"""The host's half of a restore. Everything is fetched and proved before anything is changed.

The spool `~/.opsplay/restore/<site>@<environment>` (mode 700) holds the compressed dump and tar
archive until the switch is over.
"""

from __future__ import annotations

from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot, Stream
from opsplay.kit.shell import assign, quote

FREE = "FREE "
HASH = "SHA256 "
AT = "AT "
_UNPACK = {"zstd": "zstd -dcq", "gzip": "gzip -dc", "none": "cat"}


def prepare(site: Site, streams: tuple[Stream, ...]) -> str:
    """Empty the spool and say how many KiB are free; fail when a tool is missing."""
    tools = sorted({"sha256sum", "tar", *(_UNPACK[one.compression].split()[0] for one in streams)})
    return f"""{_spool(site)}
for tool in {" ".join(tools)}; do
  command -v $tool >/dev/null || {{ echo "$tool is not installed on this host" >&2; exit 1; }}
done
rm -rf "$spool" && mkdir -p "$spool" || exit 1
df -Pk "$spool" | awk 'NR == 2 {{ print "{FREE}" $4 }}'
"""


def receive(site: Site, stream: Stream) -> str:
    """Spool standard input, and say the SHA-256 of what it unpacks to."""
    file = f'"$spool"/{quote(stream.name)}'
    return f"""{_spool(site)}
cat >{file} || exit 1
sum=$( ( {_UNPACK[stream.compression]} <{file} || echo broken ) | sha256sum) || exit 1
echo "{HASH}${{sum%% *}}"
"""


def clean(site: Site) -> str:
    """Remove the spool."""
    return f'{_spool(site)}\nrm -rf "$spool"\n'


def switch(site: Site, snapshot: Snapshot, streams: tuple[Stream, ...], door: str) -> str:
    """Put the spooled streams into place behind a closed door; open it when `door` is ours.

    Files come first: they hold the CMS's own database access. `door` is the SHA-256 of the pass
    of whoever keeps the door; empty: it is closed and opened here.
    """
    cms, elsewhere = site.cms, site.here.name != snapshot.environment
    close = cms.close_to_visitors(door or _NOBODY)
    by_name = {stream.name: stream for stream in streams}
    parts = [_SWITCH.replace("@SPOOL@", _spool(site)).replace("@ROOT@", quote(site.here.root))]
    parts.append(f'if [ -n "$(ls -A "$root" 2>/dev/null)" ]; then\n{_act("close", close)}\nfi')
    if stream := by_name.get("files"):
        unpack = cms.unpack_files(keep_configuration=elsewhere)
        parts += [_act("files", unpack, stream), _act("close", close)]
    if stream := by_name.get("database"):
        parts.append(_act("database", cms.load_database(), stream))
    if elsewhere:
        parts.append(_act("safe", cms.make_clone_safe(snapshot.cms.url)))
    if not door:
        parts.append(_act("open", cms.open_to_visitors()))
    return "\n".join([*parts, f'echo "{AT}end"', 'rm -rf "$spool"', ""])


def _act(name: str, script: str, stream: Stream | None = None) -> str:
    """Return the lines that run a driver's script, fed with a stream, or end here."""
    source = f'{_UNPACK[stream.compression]} <"$spool"/{stream.name} |' if stream else ""
    feed = f"{source} (\n{script}\n)" if stream else f"(\n{script}\n) </dev/null"
    return f'echo "{AT}{name}"\n{feed} || exit 1'


def _spool(site: Site) -> str:
    place = assign("place", f"{site.name}@{site.here.name}")
    return f"set -u\numask 077\n{place}\nspool=$HOME/.opsplay/restore/$place"


_NOBODY = "0" * 64
"""A SHA-256 that no known pass has: nobody gets through."""

_SWITCH = """@SPOOL@
OPSPLAY_RUN_DIR=$spool
export OPSPLAY_RUN_DIR
root=@ROOT@
umask 022
"""
