"""How the segments of one backup get into its vault, and the storage's word that they are there.

Straight from the host, by a URL signed for this one body; or over the host's line to us, where its
way out is barred or the vault cannot sign. Which of them is tried out once, before the first
segment: a PUT of 1 KiB whose bytes do not fit the signature. A storage that answers, with a refusal,
can be reached, and keeps nothing.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn

from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_exponential, wait_random

from opsplay.core.errors import VaultRefused
from opsplay.core.snapshot import Segment
from opsplay.core.vault import SignedPut, StoredObject, Vault, VaultSettings
from opsplay.engine.store_line import NOT_SEALED, Line
from opsplay.kit.clock import Clock

Retried = Callable[[str, int, float], None]
"""(error, attempt, seconds until the next): called before each new try, so that it is seen."""

_SECONDS_PER_PUT: Final = 900
_PUT_ATTEMPTS: Final = 10
_TRIALS: Final = 3
_LOOKS: Final = (0.1, 0.4, 1.0)
"""Seconds between looks for an object that a storage has confirmed, and does not show yet."""
_PREFLIGHT: Final = bytes(1024)
_SUM_OF_SOMETHING_ELSE: Final = hashlib.sha256(b"not what is sent").hexdigest()
_BARRED: Final = {b"000", b"407", b"511"}
_NOT_TRUSTED: Final = {"51", "58", "60", "77", "83", "90", "91"}
"""What curl says when it does not accept the storage's certificate."""
_HOPELESS: Final = {"400", "401", "404", "405", "411", "501", "507"}
_DAMAGED: Final = {"BadDigest", "InvalidDigest", "IncompleteBody", "RequestTimeout", "-"}
_RES: Final = re.compile(rb"RES \d+ (\d+) (\d+) (\S+) ?(.*)\n")
_LOCK_TOLERANCE: Final = timedelta(seconds=1)


class NotStored(VaultRefused):
    """A segment did not arrive; worth another try with a new URL."""


@dataclass(frozen=True)
class Announced:
    """A segment as the host describes it."""

    key: str
    size: int
    sha256: str
    md5: str = ""
    """Only where the storage needs it."""
    retain_until: datetime | None = None


@dataclass
class Upload:
    """The way into one vault, for one backup."""

    line: Line
    vault: Vault
    settings: VaultSettings
    clock: Clock
    retried: Retried
    patience: int = 30
    """Seconds without progress after which a host gives a PUT up."""
    way: str = "relay"
    """`curl`, `php` or `relay`."""
    why: str = ""
    """Why it is relayed."""

    def decide(self, send: str, preflight: str, barred: str = "") -> None:
        """Choose the way: `send` is what the host has, `preflight` the key of the trial.

        `barred`: why it had to be relayed when it was decided for the same backup before.
        """
        wanted = self.settings.transport
        if not self.vault.signs:
            self.why = f"vault {self.vault.name} cannot sign"
        elif wanted == "relay":
            self.why = "so the inventory wants it"
        elif send == "none":
            self.why = "the host has neither curl nor PHP that could send"
        elif wanted == "auto" and (barred or preflight):
            self.why = barred or self._barred(preflight)
        if self.why and wanted == "direct":
            self.line.fail(f"the inventory wants bytes to go straight to the vault, yet {self.why}")
        self.way = "relay" if self.why else send

    def keep(self, announced: Announced) -> Segment:
        """Bring one segment from the host into the vault; return it as the storage has it.

        Raises:
            VaultRefused: the storage will not have it, or not as it must be.
            StepFailed: the host failed meanwhile.
        """
        if self.way == "relay":
            found = self.put(announced, self.fetched(announced))
        else:
            found = self._patiently(lambda: self._sent(announced))
        self.line.say(b"SKIP")
        return self.segment(announced, found)

    def fetched(self, announced: Announced) -> bytes:
        """Return a segment's bytes over the line. Raises StepFailed when they are not those."""
        self.line.say(b"RELAY")
        body = self.line.exactly(announced.size)
        if hashlib.sha256(body).hexdigest() != announced.sha256:
            self.line.fail(
                f"{announced.key}: the bytes that came over the line are not those announced"
            )
        return body

    def put(self, announced: Announced, body: bytes) -> StoredObject:
        """Store a segment ourselves."""

        def once() -> StoredObject:
            self.vault.put(announced.key, body, retain_until=announced.retain_until)
            return self._confirmed(announced, "put, yet the storage does not show it", sure=True)

        return self._patiently(once)

    def segment(self, announced: Announced, found: StoredObject) -> Segment:
        """Return the segment as a manifest names it. Raises VaultRefused if it is not locked."""
        wanted = announced.retain_until if self.settings.lock != "none" else None
        until = found.retain_until
        if wanted and (until is None or until < wanted - _LOCK_TOLERANCE):
            self._refuse(f"did not lock {announced.key} until {wanted:%Y-%m-%d}")
        return Segment(
            announced.key, found.bytes, announced.sha256, found.version_id, until, md5=announced.md5
        )

    def _barred(self, preflight: str) -> str:
        """Return why the host does not reach the storage; empty when it does."""
        said = ""
        for _ in range(_TRIALS):
            signed = self.vault.sign_put(
                preflight, _SUM_OF_SOMETHING_ELSE, len(_PREFLIGHT), md5="00" * 16
            )
            self.line.say(b"TRY " + self._config(signed, longest=20))
            result = self._result()
            if result[2] not in _BARRED and not result[2].startswith(b"3"):
                return ""
            said = _why(result)
        return f"the host does not reach the storage by itself: {said}"

    def _patiently(self, attempt: Callable[[], StoredObject]) -> StoredObject:
        def seen(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            self.retried(str(error), state.attempt_number, state.upcoming_sleep)

        retrying = Retrying(
            retry=retry_if_exception_type(NotStored),
            stop=stop_after_attempt(_PUT_ATTEMPTS),
            wait=wait_exponential(multiplier=0.2, max=20) + wait_random(0, 0.3),
            sleep=self.clock.sleep,
            before_sleep=seen,
            reraise=True,
        )
        return retrying(attempt)

    def _sent(self, announced: Announced) -> StoredObject:
        signed = self.vault.sign_put(
            announced.key,
            announced.sha256,
            announced.size,
            _SECONDS_PER_PUT,
            retain_until=announced.retain_until,
            md5=announced.md5,
        )
        self.line.say(b"PUT " + self._config(signed, longest=self._longest(announced.size)))
        result = self._result()
        why = _why(result)
        self._give_up_if_hopeless(announced.key, result, why)
        return self._confirmed(announced, why, sure=result[2] == b"200")

    def _result(self) -> re.Match[bytes]:
        line = self.line.heard()
        return _RES.fullmatch(line) or self.line.misheard(line)

    def _give_up_if_hopeless(self, key: str, result: re.Match[bytes], why: str) -> None:
        """Raise for a refusal that another try would only meet again."""
        curl, http, code, text = (part.decode(errors="replace") for part in result.groups())
        if curl in _NOT_TRUSTED:
            self._refuse(f"is not trusted by the host: {why}")
        if http == "403" and "expired" in text.lower():
            return  # the URL grew old on its way, as when a host sleeps: another one is signed
        if code == "RequestTimeTooSkewed":
            self._refuse(
                f"refused {key}: {why}: this machine's clock is wrong", "timedatectl status"
            )
        if http == "403" or (http in _HOPELESS and code not in _DAMAGED) or http == "507":
            self._refuse(f"refused {key}: {why}")

    def _confirmed(self, announced: Announced, why: str, *, sure: bool) -> StoredObject:
        """Return what the storage says it holds; whatever the host said (a reply may be lost)."""
        key = announced.key
        found = self.vault.head(key)
        for seconds in _LOOKS if sure else ():
            if found is not None:
                break
            self.clock.sleep(seconds)
            found = self.vault.head(key)
        if found is None:
            raise NotStored(
                f"{key} is not in vault {self.vault.name}: {why}",
                site=self.line.site,
                state=NOT_SEALED,
            )
        if not found.holds(announced.size, announced.sha256, announced.md5):
            said = f"{found.bytes} bytes, SHA-256 {found.sha256 or 'not told'}"
            self._refuse(f"holds something else under {key} ({said})")
        return found

    def _refuse(self, what: str, next_command: str = "") -> NoReturn:
        raise VaultRefused(
            f"vault {self.vault.name} {what}",
            site=self.line.site,
            state=NOT_SEALED,
            next_command=next_command,
        )

    def _longest(self, size: int) -> int:
        """Return how many seconds a PUT may take."""
        rate = self.settings.limit_rate
        return max(_SECONDS_PER_PUT - 30, 2 * size // rate if rate else 0)

    def _config(self, signed: SignedPut, longest: int) -> bytes:
        rate = self.settings.limit_rate
        text = curl_config(signed, longest=longest, patience=self.patience, rate=rate)
        return base64.b64encode(text.encode())


def curl_config(
    signed: SignedPut, *, longest: int = _SECONDS_PER_PUT - 30, patience: int = 30, rate: int = 0
) -> str:
    """Return what curl reads on its standard input, so that no argument list shows the URL.

    curl writes Content-Length by itself, from the file.
    """
    headers = [f"{name}: {value}" for name, value in signed.headers if name != "Content-Length"]
    lines = [f'url = "{signed.url}"', *(f'header = "{one}"' for one in (*headers, "Expect:"))]
    limits = ("globoff", f"connect-timeout = {min(15, longest)}", f"max-time = {longest}")
    slowest = min(1024, rate // 2) if rate else 1024
    stall = (f"speed-limit = {slowest}", f"speed-time = {patience}")
    paced = (f"limit-rate = {rate}",) if rate else ()
    return "\n".join([*lines, *limits, *stall, *paced, ""])


def _why(result: re.Match[bytes]) -> str:
    status, http, code, text = (part.decode(errors="replace") for part in result.groups())
    if status != "0" and http == "000":
        return text or f"curl ended with status {status}"
    return f"HTTP {http}{'' if code == '-' else f' {code}'}"
