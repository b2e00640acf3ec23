"""The controller's half of fetching: a URL for each segment, a header for each stream, and proof.

The host pulls from the storage by itself, several streams at once. What it decrypts with was made
for this restore alone; the real identity stays here.
"""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NoReturn

from opsplay.core.errors import (
    Interrupted,
    LineCut,
    OpsplayError,
    StepFailed,
    StorageUnreachable,
    UnreadableAnswer,
    VaultRefused,
)
from opsplay.core.snapshot import Segment
from opsplay.core.transport import Channel
from opsplay.engine import restore_scripts as scripts
from opsplay.engine.age_header import MOST, file_key, header_for, read_header
from opsplay.engine.restore_plan import Part
from opsplay.engine.restore_stream import Plaintext
from opsplay.engine.restoring import UNCHANGED, Restoring, Way

AT_ONCE = 4
_SECONDS_PER_GET = 900
_ATTEMPTS = 6
_WANT = re.compile(rb"WANT (\d+) ?(.*)\n")
_NOT_FOUND = "404"
_WRITE_ERROR = "23"
"""curl's status where it could not write what it received."""


class _Differs(StepFailed):
    """What came out of an archive is not what the index says."""


@dataclass
class Fetching:
    """One restore's fetching."""

    work: Restoring
    keys: tuple[object, ...]
    way: Way
    attempt: str
    total: int
    done: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        import pyrage  # type: ignore[import-untyped]  # ships no types

        made = pyrage.x25519.Identity.generate()
        self._identity, self._recipient = str(made), str(made.to_public())

    def all(self, parts: tuple[Part, ...]) -> None:
        """Fetch and prove every part; the first that fails ends the others, too.

        Raises:
            VaultRefused: a segment is missing or damaged (it is named), or no identity fits.
            StorageUnreachable: the storage did not answer the host, again and again.
            StepFailed: the host could not keep it, or what came out is not what was saved.
            LineCut: the line broke; what was fetched is kept for the next attempt.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            under_way = [pool.submit(self._one, part) for part in parts]
        errors = [error for one in under_way if (error := one.exception())]
        for error in sorted(errors, key=_blame):
            raise error

    def _one(self, part: Part) -> None:
        if self._stop.is_set():
            raise Interrupted("another part could not be fetched", site=self.work.site.name)
        try:
            try:
                self._bring(part, in_order=True)
            except _Differs:
                # The archive's order is another than the list's: look for each name, which is slow.
                self._bring(part, in_order=False)
        except BaseException as error:
            self._stop.set()
            if isinstance(error, OpsplayError):
                error.state = error.state or UNCHANGED
            raise

    def _bring(self, part: Part, *, in_order: bool) -> None:
        script = scripts.fetch(self.work.site, part, self.attempt, self.way, in_order=in_order)
        channel = self.work.transport.open(script)
        try:
            _Conversation(self, part).hold(channel)
        finally:
            channel.close()

    def opening(self, part: Part) -> bytes:
        """Return what opens the part: an identity made for this restore, and an age header for it.

        In between, how long the part's own header is, which the host leaves out.
        """
        where = part.stream.segments[0].key
        own = read_header(b"".join(self.work.vault.get(where, first=MOST)), where)
        header = header_for(file_key(own, map(str, self.keys), where), self._recipient)
        return f"{self._identity} {own.length}\n".encode() + header + b".\n"

    @property
    def stopping(self) -> bool:
        """Return whether another part failed."""
        return self._stop.is_set()

    def fetched(self, part: Part, count: int) -> None:
        """Tell that so many bytes more are on the host."""
        with self._lock:
            self.done += count
            what = f"restore of the {part.stream.part}"
            self.work.progress(self.work.site.name, what, float(self.done), float(self.total))


def _blame(error: BaseException) -> int:
    """Return what sorts the error that was first before those that it caused."""
    return 1 if isinstance(error, Interrupted) and "another part" in str(error) else 0


class _Conversation:
    """About one part."""

    def __init__(self, fetching: Fetching, part: Part) -> None:
        self._with = fetching
        self._work = fetching.work
        self._part = part
        self._tries: dict[int, int] = {}
        self._proved = -1

    def hold(self, channel: Channel) -> None:
        """Go through it to its end."""
        self._channel = channel
        line = self._line()
        if line == b"HAVE\n":
            self._with.fetched(self._part, self._part.stream.stored_bytes)
            return
        if line != b"NEED\n":
            self._ended(line)
        if self._with.way == "relay":
            self._relay()
        else:
            self._say(self._with.opening(self._part))
        self._answer_until_done()

    def _relay(self) -> None:
        before = 0

        def shown(_site: str, _what: str, done: float, _total: float) -> None:
            nonlocal before
            self._with.fetched(self._part, int(done) - before)
            before = int(done)

        our = self._work
        plaintext = Plaintext(our.vault, self._part.stream, our.site.name, our.clock, shown)
        try:
            plaintext.send_to(self._channel, self._with.keys)
            self._channel.send_eof()
        except BrokenPipeError:
            return  # the host ended early; what it says tells why

    def _answer_until_done(self) -> None:
        differing: list[str] = []
        while (line := self._line()) != b"DONE\n":
            if line.startswith(b"DIFFERS "):
                differing.append(line[8:].decode(errors="replace").strip())
            elif found := _WANT.fullmatch(line):
                self._hand_out(int(found[1]), found[2].decode(errors="replace").strip())
            else:
                self._ended(line, differing)
        self._count(len(self._part.stream.segments) - 1)

    def _hand_out(self, number: int, why: str) -> None:
        segments = self._part.stream.segments
        if number >= len(segments):
            self._ended(b"WANT %d\n" % number)
        self._count(number - 1)
        if why:
            self._failed(number, segments[number], why)
        if self._with.stopping:
            self._say(b"STOP\n")
            raise Interrupted("another part could not be fetched", site=self._work.site.name)
        url = self._work.vault.sign_get(segments[number].key, _SECONDS_PER_GET)
        self._say(f"GET {segments[number].sha256}\n{get_config(url)}.\n".encode())

    def _count(self, upto: int) -> None:
        """Count the segments that the host has by now."""
        segments = self._part.stream.segments
        if self._with.way == "direct":
            for number in range(self._proved + 1, upto + 1):
                self._with.fetched(self._part, segments[number].bytes)
        self._proved = max(self._proved, upto)

    def _failed(self, number: int, segment: Segment, why: str) -> None:
        """Wait before the next attempt at a segment, or give up."""
        self._tries[number] = tries = self._tries.get(number, 0) + 1
        status, http, _, text = [*why.split(" ", 3), "", "", "", ""][:4]
        last = tries >= _ATTEMPTS
        if http == _NOT_FOUND:
            self._give_up(VaultRefused(f"{segment.key} is missing"))
        if status == _WRITE_ERROR and last:
            self._give_up(StepFailed(f"the host's spool ~/.opsplay/restore is full: {text}"))
        if (status, http) == ("0", "200") and tries > 1:
            self._give_up(
                VaultRefused(f"{segment.key} is damaged: its SHA-256 is not the manifest's")
            )
        if last:
            said = text or f"HTTP {http}, status {status}"
            what = f"the host could not fetch {segment.key} from vault {self._work.vault.name}"
            self._give_up(StorageUnreachable(f"{what}: {said}"))
        self._work.clock.sleep(min(0.2 * 2**tries, 20.0))

    def _give_up(self, error: OpsplayError) -> NoReturn:
        self._say(b"STOP\n")
        error.site = self._work.site.name
        raise error

    def _say(self, data: bytes) -> None:
        try:
            self._channel.send(data)
        except BrokenPipeError:
            self._ended(b"")

    def _line(self) -> bytes:
        return self._channel.receive_line()

    def _ended(self, line: bytes, differing: list[str] | None = None) -> NoReturn:
        """Raise what a last line, or the end without one, means."""
        what = f"the {self._part.stream.part}"
        text = line.decode(errors="replace").strip()
        site = self._work.site.name
        if text.startswith("FAIL "):
            told = re.sub(r"^(\S+ ){3}", "", text.removeprefix("FAIL "))
            if differing:
                names = ", ".join(differing[:5])
                raise _Differs(f"{what} that arrived are not what was saved: {names}", site=site)
            raise StepFailed(f"{what} could not be brought to the host: {told}", site=site)
        if text:
            raise UnreadableAnswer(f"the host said {text[:200]!r} in a restore", site=site)
        answer = self._channel.finish(30)
        said = " ".join(answer.stderr.strip().splitlines()[-3:])
        raise LineCut(
            f"the host's side of the restore ended early, status {answer.exit_status}: {said}",
            site=site,
            state=UNCHANGED,
        )


def get_config(url: str, *, sample: int = 0) -> str:
    """Return what curl reads on standard input: no argument list shows the URL."""
    limits = ["globoff", "connect-timeout = 15", f"max-time = {_SECONDS_PER_GET - 30}"]
    if sample:
        limits = ["globoff", "connect-timeout = 5", "max-time = 8", f'range = "0-{sample - 1}"']
    return "\n".join([f'url = "{url}"', *limits, "speed-limit = 1024", "speed-time = 30", ""])
