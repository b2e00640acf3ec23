"""Numbers as a person says them: bytes, and lengths of time."""

from __future__ import annotations

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_HOURS = 24
"""Of a day."""
_KILO = 1000


def size(count: float) -> str:
    """Return a number of bytes in decimal units, as storage is sold.

    >>> [size(one) for one in (12, 4200, 1_250_000, 10_000_000_000)]
    ['12 B', '4.2 kB', '1.2 MB', '10.0 GB']
    """
    if count < _KILO:
        return f"{count:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        count /= _KILO
        if count < _KILO or unit == "TB":
            break
    return f"{count:.1f} {unit}"


def span(seconds: float) -> str:
    """Return a length of time that was measured.

    >>> [span(one) for one in (0.04, 6.24, 63, 3725, 200000)]
    ['0.0 s', '6.2 s', '1 min 03 s', '1 h 02 min', '2 d 7 h']
    """
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = int(seconds)
    if whole < _HOUR:
        return f"{whole // 60} min {whole % 60:02} s"
    if whole < _DAY:
        return f"{whole // _HOUR} h {whole % _HOUR // 60:02} min"
    return f"{whole // _DAY} d {whole % _DAY // _HOUR} h"


def about(seconds: float) -> str:
    """Return a length of time that is foreseen or promised: no finer than anybody knows it.

    >>> [about(one) for one in (6.24, 240, 14400, 97200, 100_000, 259200)]
    ['6.2 s', '4 min', '4 h', '27 h', '27 h 47 min', '3 d']
    """
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    minutes = round(seconds / _MINUTE)
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    if hours >= 2 * _HOURS:
        days, left = divmod(hours, _HOURS)
        return f"{days} d {left} h" if left else f"{days} d"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def counted(count: int, one: str, several: str = "") -> str:
    """Return a number with its noun.

    >>> counted(1, "site"), counted(2, "site"), counted(0, "retry", "retries")
    ('1 site', '2 sites', '0 retries')
    """
    return f"{count} {one if count == 1 else several or one + 's'}"
