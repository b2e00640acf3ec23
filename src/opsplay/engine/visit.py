"""The smoke test's eyes: look at pages as a visitor would, and judge what was seen.

`look` and `certificate_days` touch the network; everything else is pure. One round only: whoever
waits for caches to let go looks again.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

import opsplay
from opsplay.core.action import Page, Visit
from opsplay.core.errors import StepFailed, Unreachable
from opsplay.engine.pages import Sight, fingerprint, occurring, read_page
from opsplay.kit.clock import Clock, SystemClock

if TYPE_CHECKING:
    import httpx

_MOST_REDIRECTS = 5
_MOST_BYTES = 8 * 1024 * 1024
_LONGEST = 60.0
_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_NOTHING: Mapping[str, str] = MappingProxyType({})


def look(
    visit: Visit,
    base_url: str,
    *,
    headers: Mapping[str, str] = _NOTHING,
    fatal_signs: Iterable[str] = (),
    client: httpx.Client | None = None,
) -> tuple[Sight, ...]:
    """Return what each page of `visit` shows now, in the visit's order.

    Never raises for a page that does not answer: its sight says so. `fatal_signs` are looked for on
    every page beside the page's own texts. Redirects are followed on the same host only, so that
    `headers` (the pass) reach nobody else; no cookies are ever sent.
    """
    signs = tuple(fatal_signs)
    with _browser(client) as browser:
        return tuple(_look_at(page, base_url, headers, signs, browser) for page in visit.pages)


@contextmanager
def _browser(client: httpx.Client | None) -> Iterator[httpx.Client]:
    if client is not None:
        yield client
        return
    import httpx

    timeout = httpx.Timeout(_LONGEST, connect=15.0)
    with httpx.Client(verify=ssl.create_default_context(), timeout=timeout) as own:
        yield own


def _look_at(
    page: Page,
    base_url: str,
    headers: Mapping[str, str],
    signs: tuple[str, ...],
    browser: httpx.Client,
) -> Sight:
    import httpx

    url = base_url.rstrip("/") + "/" + page.path.lstrip("/")
    started = time.perf_counter()
    try:
        response, body = _fetch(url, headers, browser, follow=not page.redirects_to)
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        reason = str(error) or type(error).__name__
        seconds = round(time.perf_counter() - started, 3)
        return Sight(page.path, url, seconds=seconds, error=reason, missing=page.contains)
    seconds = round(time.perf_counter() - started, 3)
    return _sight(page, response, body, signs, seconds)


def _sight(
    page: Page, response: httpx.Response, body: bytes, signs: tuple[str, ...], seconds: float
) -> Sight:
    html = body.decode(response.charset_encoding or "utf-8", "replace")
    reading = read_page(html)
    present = occurring(page.contains, html, reading.text)
    return Sight(
        path=page.path,
        url=str(response.url),
        status=response.status_code,
        title=reading.title,
        generator=reading.generator,
        bytes=len(body),
        text_length=len(reading.text),
        seconds=seconds,
        sha256=fingerprint(body),
        missing=tuple(text for text in page.contains if text not in present),
        found=occurring(dict.fromkeys((*page.absent, *signs)), html, reading.text),
        location=response.headers.get("location", ""),
    )


def _fetch(
    url: str, headers: Mapping[str, str], browser: httpx.Client, *, follow: bool
) -> tuple[httpx.Response, bytes]:
    response, body = _get(url, headers, browser)
    for _ in range(_MOST_REDIRECTS if follow else 0):
        if response.status_code not in _REDIRECTS or "location" not in response.headers:
            break
        target = urljoin(str(response.url), response.headers["location"])
        if not _same_host(target, url):
            break
        response, body = _get(target, headers, browser)
    return response, body


def _same_host(one: str, other: str) -> bool:
    # The pass must not leave an encrypted line either.
    downgraded = urlsplit(other).scheme == "https" and urlsplit(one).scheme != "https"
    return urlsplit(one).hostname == urlsplit(other).hostname and not downgraded


def _get(
    url: str, headers: Mapping[str, str], browser: httpx.Client
) -> tuple[httpx.Response, bytes]:
    browser.cookies.clear()
    own = {
        "User-Agent": f"opsplay/{opsplay.__version__} (smoke test)",
        "Cache-Control": "no-cache",
        "Pragma": "no-cache",
    }
    deadline = time.perf_counter() + _LONGEST
    body = bytearray()
    with browser.stream("GET", url, headers=own | dict(headers), follow_redirects=False) as answer:
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > _MOST_BYTES or time.perf_counter() > deadline:
                break
    return answer, bytes(body)


def judge(
    visit: Visit,
    sights: Iterable[Sight],
    baseline: Iterable[Sight] = (),
    fatal_signs: Iterable[str] = (),
) -> tuple[str, ...]:
    """Return what is wrong, in a shop owner's words; nothing when all is well.

    What the playbook asks of a page (status, texts, redirect, time) always counts, also when it was
    wrong before: the complaint then says so. Beyond that a page is compared with how it looked in
    `baseline`: a lost title, or most of its content gone. A page without a baseline is not compared.
    """
    before = {sight.path: sight for sight in baseline}
    seen = {sight.path: sight for sight in sights}
    signs = tuple(fatal_signs)
    return tuple(
        f"{page.path} {complaint}"
        for page in visit.pages
        for complaint in _complaints(page, seen.get(page.path), before.get(page.path), signs)
    )


def _complaints(
    page: Page, now: Sight | None, before: Sight | None, signs: tuple[str, ...]
) -> Iterator[str]:
    if now is None:
        yield "was not looked at"
        return
    if now.error:
        yield f"does not answer: {now.error}"
        return
    yield from _wrong_status(page, now, before)
    for text in now.found:
        if text in page.absent or text in signs:
            yield f"shows the text {text!r}"
    for text in now.missing:
        yield f"does not show the text {text!r}"
    yield from _too_slow(page, now, before)
    if before is not None and now.status == before.status:
        yield from _regressions(now, before)


def _wrong_status(page: Page, now: Sight, before: Sight | None) -> Iterator[str]:
    if page.redirects_to:
        yield from _wrong_redirect(page, now)
        return
    if now.status != page.status:
        as_before = " (as it did before)" if before and before.status == now.status else ""
        aim = f" (it leads to {now.location})" if now.location else ""
        yield f"answers {now.status} instead of {page.status}{aim}{as_before}"


def _wrong_redirect(page: Page, now: Sight) -> Iterator[str]:
    if now.status not in _REDIRECTS:
        yield f"answers {now.status} instead of leading to {page.redirects_to}"
    elif urljoin(now.url, now.location) != urljoin(now.url, page.redirects_to):
        yield f"leads to {now.location} instead of {page.redirects_to}"


def _too_slow(page: Page, now: Sight, before: Sight | None) -> Iterator[str]:
    if now.seconds > page.max_seconds:
        was = f"; it was {before.seconds:.1f} s before" if before and not before.error else ""
        yield f"answers in {now.seconds:.1f} s, allowed {page.max_seconds:g} s{was}"


def _regressions(now: Sight, before: Sight) -> Iterator[str]:
    if before.title and not now.title:
        yield f"no longer has a title (was {before.title!r})"
    # Half of the words, or four fifths of the bytes: less may be a tidier theme.
    fewer_words = before.text_length >= 200 and now.text_length * 2 < before.text_length  # noqa: PLR2004
    fewer_bytes = before.bytes >= 2000 and now.bytes * 5 < before.bytes  # noqa: PLR2004
    if fewer_bytes:
        yield f"shrank from {_size(before.bytes)} to {_size(now.bytes)}"
    elif fewer_words:
        yield f"lost most of its text ({before.text_length} characters, now {now.text_length})"


def _size(count: int) -> str:
    return f"{count} bytes" if count < 1000 else f"{count / 1000:.0f} kB"  # noqa: PLR2004


def certificate_days(
    url: str, *, clock: Clock | None = None, trust: ssl.SSLContext | None = None
) -> float:
    """Return how many days the certificate at `url` is still valid; 0 when it has expired.

    `trust` replaces the system's certificate authorities.

    Raises:
        Unreachable: nobody answers there.
        StepFailed: the certificate is not to be trusted, or for another name.
    """
    place = urlsplit(url)
    host, port = place.hostname or "", place.port or 443
    context = trust or ssl.create_default_context()
    try:
        with (
            socket.create_connection((host, port), timeout=15) as line,
            context.wrap_socket(line, server_hostname=host) as tls,
        ):
            certificate = tls.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        if error.verify_code == _EXPIRED:
            return 0.0
        raise StepFailed(f"certificate of {host}: {error.verify_message}") from error
    except OSError as error:
        raise Unreachable(f"{host}:{port} does not answer: {error}") from error
    ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), tz=UTC)
    return (ends - (clock or SystemClock()).now()).total_seconds() / 86400


def judge_certificate(visit: Visit, days: float) -> tuple[str, ...]:
    """Return a complaint when the certificate's `days` are fewer than the visit asks for."""
    if days <= 0:
        return ("the certificate has expired: browsers turn visitors away",)
    if days < visit.tls_days:
        return (f"the certificate ends in {days:.0f} days, {visit.tls_days} asked for",)
    return ()


# The words PHP's own error handler writes: main/main.c, php_error_cb.
_FATAL = re.compile(
    r"(?:PHP )?(?:Fatal error|Parse error|Recoverable fatal error|Core error|Compile error):.*"
    r"|(?:PHP )?Uncaught .*"
)
_WARNING = re.compile(r"PHP (?:Warning|Notice|Deprecated|User \w+):")


def new_errors(log_tail: str) -> tuple[str, ...]:
    """Return the errors in what was added to PHP's log since, each once, in order.

    >>> new_errors("[22-Nov-2026 05:00:00 UTC] PHP Fatal error:  Uncaught Error: x in /a.php:1")
    ('PHP Fatal error:  Uncaught Error: x in /a.php:1',)
    """
    hits = (_FATAL.search(line) for line in log_tail.splitlines())
    return tuple(dict.fromkeys(hit.group().rstrip() for hit in hits if hit))


def count_warnings(log_tail: str) -> int:
    """Return how many warnings and notices were added to PHP's log; they fail nothing."""
    return len(_WARNING.findall(log_tail))
