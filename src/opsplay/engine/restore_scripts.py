"""The host's half of a restore. Everything is fetched and proved before anything is changed.

The programs are `host/restore*.sh`; the first of them says what the spool holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from opsplay.core.site import Site
from opsplay.engine.host import program
from opsplay.engine.restore_plan import Part, Plan
from opsplay.engine.restoring import Way
from opsplay.kit.shell import assign

AT = "AT "
KEPT = "KEPT "
"""What the switch says of what was there before: where it is kept, or why it is not."""

_NOBODY = "0" * 64
"""A SHA-256 that no known pass has: nobody gets through."""
_UNPACK = {"zstd": "zstd -dcq", "gzip": "gzip -dc", "none": "cat"}
_NO_SCRIPTS: Mapping[str, str] = MappingProxyType({})


def look(site: Site) -> str:
    """Return the script that looks at tools, room and the line to the storage; changes nothing."""
    return _head(site) + program("restore_look.sh")


def prepare(site: Site, plan: Plan, attempt: str) -> str:
    """Return the script that makes the spool ready; the list of names comes by standard input."""
    beside = "" if all(part.kind == "database" for part in plan.parts) else "yes"
    values = {"attempt": attempt, "plan": plan.digest, "beside": beside}
    twin = program("restore_twin.php")
    return _head(site, twin=twin, **values) + program("restore_prepare.sh")


def fetch(site: Site, part: Part, attempt: str, way: Way, *, in_order: bool) -> str:
    """Return the script that fetches and proves one part."""
    values = {
        "stream": part.name,
        "kind": part.kind,
        "compression": part.stream.compression,
        "count": str(len(part.stream.segments)),
        "raw_sha256": part.stream.raw_sha256,
        "trailer": "1" if part.stream.trailer_ok else "",
        "in_order": "--same-order" if in_order else "",
        "attempt": attempt,
        "way": way,
    }
    return _head(site, **values) + program("restore_fetch.sh")


def clean(site: Site) -> str:
    """Remove what was fetched."""
    return f"{_head(site)}{_CLEAN}"


def switch(
    site: Site,
    plan: Plan,
    door: str,
    after: Mapping[str, str] = _NO_SCRIPTS,
    *,
    own_configuration: bool = False,
    opening: bool = True,
) -> str:
    """Put what was fetched into place behind a closed door; open it when `door` is ours.

    Not `opening`: something has to be done before, and the caller opens it.

    Files come first: they hold the CMS's own database access. `door` is the SHA-256 of the pass
    of whoever keeps the door; empty: it is closed and opened here. `after` and
    `own_configuration`: see `bring_back`.
    """
    cms, elsewhere = site.cms, site.here.name != plan.snapshot.environment
    close = cms.close_to_visitors(door or _NOBODY)
    parts = [_proofs(site, plan), f"if {_FILLED}; then\n{_act('close', close)}\nfi"]
    if plan.part("database"):
        parts.append(f"if {_FILLED}; then\n{_kept_dump(site, plan)}\nfi")
    if plan.part("files"):
        keep = elsewhere and not own_configuration
        unpack = cms.unpack_files(keep_configuration=keep, fill=_fill(site))
        parts.append(_act("files", unpack))
        parts += [_act("after-files", after["files"])] if "files" in after else []
        parts.append(_act("close", close))
    if plan.part("database"):
        parts.append(_act("database", cms.load_database(), _loaded(plan)))
        parts += [_act("after-database", after["database"])] if "database" in after else []
    if elsewhere:
        parts.append(_act("safe", cms.make_clone_safe(plan.snapshot.cms.url)))
    if not door and opening:
        parts.append(_act("open", cms.open_to_visitors()))
    return "\n".join([*parts, f'echo "{AT}end"', _CLEAN, ""])


def place(site: Site, plan: Plan, *, door: str, closed: bool) -> str:
    """Put single files into place, each by one rename; what was there is kept.

    `closed`: the door is closed meanwhile, for code that fits together only as a whole.
    """
    cms = site.cms
    parts = [_proofs(site, plan)]
    if closed:
        parts.append(_act("close", cms.close_to_visitors(door or _NOBODY)))
    parts.append(_act("paths", _head(site) + _BEFORE + program("restore_place.sh")))
    if closed and not door:
        parts.append(_act("open", cms.open_to_visitors()))
    return "\n".join([*parts, f'echo "{AT}end"', _CLEAN, ""])


def _head(site: Site, **values: str) -> str:
    place = {"place": f"{site.name}@{site.here.name}", "root": site.here.root.rstrip("/")}
    lines = [assign(name, value) for name, value in (place | values).items()]
    return "\n".join([*lines, program("restore.sh")])


def _act(name: str, script: str, source: str = "") -> str:
    """Return the lines that run a driver's script, fed by `source`, or end here.

    The end of a pipeline's first part is known to nobody: it leaves a file when it went well.
    """
    if not source:
        return f'echo "{AT}{name}"\n(\n{script}\n) </dev/null || exit 1'
    feed = f'rm -f "$spool/fed"\n{{ {source} && : >"$spool/fed"; }} | (\n{script}\n) || exit 1'
    return f'echo "{AT}{name}"\n{feed}\n{_FED}'


def _proofs(site: Site, plan: Plan) -> str:
    """Return the lines that end here unless every part is in the spool, proved."""
    wanted = "\n".join(f"{part.name} {part.stream.raw_sha256}" for part in plan.parts)
    values = {"plan": plan.digest, "parts": wanted}
    return _head(site, **values) + _BEFORE + program("restore_proofs.sh")


def _fill(site: Site) -> str:
    """Return the lines that fill `$new` with the tree and keep what `$old` names, if it is set."""
    return _head(site) + _BEFORE + program("restore_fill.sh")


def _kept_dump(site: Site, plan: Plan) -> str:
    """Return the lines that keep the database as it is, where there is room for it."""
    stream = next(part.stream for part in plan.parts if part.kind == "database")
    values = {"wanted": str(2 * stream.stored_bytes)}
    keep = program("restore_keep.sh").replace("@DUMP@", site.cms.dump_database())
    return f'echo "{AT}keep"\n(\n{_head(site, **values)}{_BEFORE}{keep}\n) </dev/null || exit 1'


def _loaded(plan: Plan) -> str:
    stream = next(part.stream for part in plan.parts if part.kind == "database")
    return f'{_UNPACK[stream.compression]} <"$spool/database"'


_FED = (
    """[ -e "$spool/fed" ] || { echo "the dump could not be unpacked to its end" >&2; exit 1; }"""
)
_FILLED = '[ -n "$(ls -A "$root" 2>/dev/null)" ]'
_BEFORE = """
OPSPLAY_RUN_DIR=${OPSPLAY_RUN_DIR:-$spool}
export OPSPLAY_RUN_DIR
before=$OPSPLAY_RUN_DIR/before
"""
_CLEAN = 'rm -rf "$tree" "$spool"; rmdir "$root.opsplay-restore" 2>/dev/null || :'
