"""Bring a backup back: fetch and prove everything first, then switch behind a closed door.

Only the controller has the age identity. The storage's bytes are checked segment by segment
before they are decrypted; the host checks what comes out against the SHA-256 of what went in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opsplay.core.errors import InvalidInput, OpsplayError, StepFailed, VaultRefused
from opsplay.core.event import Progress
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.core.snapshot import Snapshot, Stream
from opsplay.core.transport import Channel, Transport
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine import restore_scripts as scripts
from opsplay.engine.restore_stream import Plaintext, identities
from opsplay.engine.snapshots import verify_listing
from opsplay.kit.clock import Clock

_UNCHANGED = "the site is as it was: nothing had been changed yet"


def bring_back(  # noqa: PLR0913  # what a restore needs to know, each by its name
    snapshot: Snapshot,
    site: Site,
    transport: Transport,
    vault: Vault,
    settings: VaultSettings,
    *,
    include: Iterable[str] = ("database", "files"),
    clock: Clock,
    progress: Progress,
    door: str = "",
    switch: Callable[[str], Answer] | None = None,
) -> None:
    """Bring the snapshot back into the environment that the site is seen from.

    Into another environment than it was taken from, the CMS's own configuration is kept and the
    copy is made safe. `door`: SHA-256 of the pass of a caller who closed the site and will open
    it; without it the site is closed here, and opened when all is right. `switch` runs the script
    that puts everything into place, by a way that survives a cut line; without it: the transport.

    Raises:
        InvalidInput: the backup does not hold what is asked for, or no identity is configured.
        VaultRefused: a segment is missing or damaged (it is named); nothing was changed.
        StepFailed: the host could not do it; says what was changed.
        LineCut: the line broke; restoring again is safe.
    """
    if site.here.name == "production" != snapshot.environment:
        raise InvalidInput(
            f"backup {snapshot.snap} was taken from {snapshot.environment}: in production it would"
            " be made a copy that sends no mail",
            next_command=f"invoke backups {snapshot.site}",
        )
    streams = _chosen(snapshot, frozenset(include))
    keys = identities(settings)
    _insist_on_every_part(vault, snapshot)
    _make_room(site, transport, streams)
    for stream in streams:
        plaintext = Plaintext(vault, stream, site.name, clock, progress)
        _spool(site, transport, plaintext, keys)
    script = scripts.switch(site, snapshot, streams, door)
    answer = switch(script) if switch else transport.run(script, timeout=None)
    _insist_on_the_end(site, answer)


def _chosen(snapshot: Snapshot, include: frozenset[str]) -> tuple[Stream, ...]:
    held = {stream.name for stream in snapshot.streams}
    if lacking := sorted(include - held):
        raise InvalidInput(
            f"backup {snapshot.snap} holds {', '.join(sorted(held))}, not {', '.join(lacking)}",
            next_command=f"invoke backups {snapshot.site}",
        )
    return tuple(stream for stream in snapshot.streams if stream.name in include)


def _insist_on_every_part(vault: Vault, snapshot: Snapshot) -> None:
    if problems := verify_listing(vault, snapshot):
        raise VaultRefused(
            f"backup {snapshot.snap} is not whole: " + "; ".join(problems),
            site=snapshot.site,
            state=_UNCHANGED,
            next_command=f"invoke backups {snapshot.site}",
        )


def _make_room(site: Site, transport: Transport, streams: tuple[Stream, ...]) -> None:
    answer = transport.run(scripts.prepare(site, streams))
    free = _told(answer, scripts.FREE)
    if not answer.ok or not free.isdigit():
        raise StepFailed(
            _said("cannot prepare the restore", answer), site=site.name, state=_UNCHANGED
        )
    wanted = sum(stream.stored_bytes + stream.raw_bytes for stream in streams)
    if int(free) * 1024 < wanted:
        raise StepFailed(
            f"the host has {int(free) >> 10} MiB free, the restore needs {wanted >> 20} MiB",
            site=site.name,
            state=_UNCHANGED,
            next_command=f"make room on {site.here.host}, then restore again",
        )


def _spool(
    site: Site, transport: Transport, plaintext: Plaintext, keys: tuple[object, ...]
) -> None:
    """Send one stream, still compressed, into the host's spool; insist on the hash of old."""
    stream = plaintext.stream
    try:
        answer = _sent(transport.open(scripts.receive(site, stream)), plaintext, keys)
        if not answer.ok or _told(answer, scripts.HASH) != stream.raw_sha256:
            what = f"the {stream.name} that arrived are not what was saved"
            raise StepFailed(_said(what, answer), site=site.name, state=_UNCHANGED)
    except OpsplayError as error:
        error.state = error.state or _UNCHANGED
        _try_clean(site, transport)
        raise


def _sent(channel: Channel, plaintext: Plaintext, keys: tuple[object, ...]) -> Answer:
    try:
        plaintext.send_to(channel, keys)
        channel.send_eof()
        return channel.finish()
    except BrokenPipeError:
        return channel.finish(30)  # the host ended early; its answer says why
    finally:
        channel.close()


def _try_clean(site: Site, transport: Transport) -> None:
    """Remove the spool if the host still answers; the next restore removes it anyway."""
    try:
        transport.run(scripts.clean(site))
    except (OpsplayError, TimeoutError):
        return


def _insist_on_the_end(site: Site, answer: Answer) -> None:
    reached = [line[3:] for line in answer.stdout.splitlines() if line.startswith(scripts.AT)]
    if answer.ok and reached[-1:] == ["end"]:
        return
    last = reached[-1] if reached else "start"
    raise StepFailed(
        _said(f"restore failed at: {_ACTS.get(last, last)}", answer),
        site=site.name,
        state=_STATES.get(last, _STATES["safe"]),
        next_command="put right what the host says, then restore again: it starts from the backup",
    )


_ACTS = {
    "close": "closing the site to visitors",
    "files": "putting the files back",
    "database": "loading the database",
    "safe": "making the copy safe",
    "open": "opening the site to visitors",
}
_STATES = {
    "start": _UNCHANGED,
    "close": "files and database were not loaded; the site may be closed to visitors",
    "files": "closed to visitors; the files are half restored, the database is as it was",
    "database": "closed to visitors; the files are restored, the database is not",
    "safe": "closed to visitors; files and database are restored",
    "open": "files and database are restored; the site may still be closed to visitors",
}


def _told(answer: Answer, word: str) -> str:
    lines = [line for line in answer.stdout.splitlines() if line.startswith(word)]
    return lines[-1].removeprefix(word).strip() if lines else ""


def _said(what: str, answer: Answer) -> str:
    last = " ".join(answer.stderr.strip().splitlines()[-3:])
    return f"{what} (status {answer.exit_status}{': ' if last else ''}{last})"
