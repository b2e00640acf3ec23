"""What a drill's findings are worth: the restored site against manifest and index. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from opsplay.core.certificate import Check, CheckName, Told, told
from opsplay.core.index import Entry
from opsplay.core.snapshot import Consistency, Snapshot
from opsplay.engine.drill_seen import Seen
from opsplay.engine.watermarks import ROWS

_MOST = 50
"""So many wrong things of one kind are named; the others are counted."""
_MANY_CHANGED = 100
_NEWEST = (
    ("order", "last_order_id", "last_order_at"),
    ("post", "last_post_id", "last_post_at"),
)
_NOT_TRIED = told("not_tried")


def checks_of(
    snapshot: Snapshot, index: Iterable[Entry] | None, seen: Seen, spared: Iterable[str] = ()
) -> tuple[Check, ...]:
    """Return every check of a trial, in the order in which a person asks.

    `spared`: files of the place's own, which are not compared.
    """
    files = files_check(index, seen, frozenset(spared), snapshot.consistency)
    marks = dict(snapshot.consistency.watermarks) if snapshot.consistency else {}
    return (
        files,
        tables_check(marks, seen),
        *_newest(marks, seen),
        _start_check(snapshot, seen),
        _pages_check(seen),
        _safe_check(seen),
    )


def files_check(
    index: Iterable[Entry] | None,
    seen: Seen,
    spared: frozenset[str] = frozenset(),
    saved: Consistency | None = None,
) -> Check:
    """Compare each file that came back with the SHA-256 in the index.

    `saved`: what was seen while it was saved. A file that changed meanwhile was saved as it was
    then, one that vanished was not: neither is an error of the backup.
    """
    if seen.sums is None:
        return Check("files", good=False, told=_NOT_TRIED)
    if index is None:
        whole = told("files_whole", count=len(seen.sums))
        return Check("files", good=bool(seen.sums), told=whole)
    left_out = spared | frozenset(saved.vanished if saved else ())
    expected = [one for one in index if one.kind == "file" and one.path not in left_out]
    changing = frozenset(saved.changing if saved else ())
    wrong = tuple(_named(_wrong_files(expected, seen.sums, changing)))
    compared = told("files_compared", count=len(expected))
    return Check("files", good=not wrong, told=compared, wrong=wrong)


def _wrong_files(
    expected: Iterable[Entry], sums: Mapping[str, str], changing: frozenset[str]
) -> Iterator[Told]:
    # A manifest names so many changing files at most: beyond, another content proves nothing.
    exact = len(changing) < _MANY_CHANGED
    for entry in expected:
        found = sums.get(entry.path)
        if not entry.pack:
            yield told("file_unread", path=_shown(entry.path))
        elif found is None:
            yield told("file_missing", path=_shown(entry.path))
        elif exact and entry.path not in changing and found != (entry.sha256 or found):
            yield told("file_differs", path=_shown(entry.path))


def tables_check(expected: Mapping[str, str], seen: Seen) -> Check:
    """Compare the rows of each table with those counted when the dump was made."""
    saved = {name: text for name, text in expected.items() if name.startswith(ROWS)}
    found = seen.marks
    if found is None:
        return Check("tables", good=False, told=_why_not(seen, "marks", "notes"))
    came = [name for name in found if name.startswith(ROWS)]
    if not saved:
        uncounted = told("tables_uncounted", tables=len(came))
        return Check("tables", good=bool(came), told=uncounted)
    wrong = tuple(_named(_wrong_tables(saved, found)))
    rows = sum(int(found[name]) for name in came)
    compared = told("tables_compared", tables=len(saved), rows=rows)
    return Check("tables", good=not wrong, told=compared, wrong=wrong)


def _why_not(seen: Seen, *names: str) -> Told:
    errors = [seen.errors[name] for name in names if name in seen.errors]
    return told("not_asked", error=errors[0]) if errors else _NOT_TRIED


def _wrong_tables(saved: Mapping[str, str], found: Mapping[str, str]) -> Iterator[Told]:
    for name, text in sorted(saved.items()):
        table = name.removeprefix(ROWS)
        low, high = limits(text)
        rows = found.get(name)
        if rows is None:
            yield told("table_missing", table=table, saved=text)
        elif not low <= int(rows) <= high:
            yield told("table_rows", table=table, found=rows, saved=text)


def limits(text: str) -> tuple[int, int]:
    """Return between which numbers of rows a table may have: those before and after its dump.

    >>> limits("14"), limits("12..14")
    ((14, 14), (12, 14))
    """
    low, _, high = text.partition("..")
    numbers = sorted((int(low), int(high or low)))
    return numbers[0], numbers[1]


def _newest(expected: Mapping[str, str], seen: Seen) -> Iterator[Check]:
    """Check that the newest order and post that were there are there again."""
    for what, key, at in _NEWEST:
        if key not in expected:
            continue
        name: CheckName = "last order" if what == "order" else "last post"
        if seen.marks is None:
            yield Check(name, good=False, told=_NOT_TRIED)
            continue
        found, when = seen.marks.get(key, ""), expected.get(at, "?")
        if int(found or 0) >= limits(expected[key])[0]:
            yield Check(name, good=True, told=told(f"{what}_there", id=found, at=when))
        else:
            gone = told(f"{what}_missing", id=expected[key], at=when, found=found or "-")
            yield Check(name, good=False, told=gone)


def _start_check(snapshot: Snapshot, seen: Seen) -> Check:
    if seen.facts is None:
        return Check("start", good=False, told=_why_not(seen, "facts"))
    facts, saved = seen.facts, snapshot.cms.version
    wrong = [told("boot_error", error=facts.boot_error)] if facts.boot_error else []
    if saved and facts.version != saved:
        wrong.append(told("wrong_version", found=facts.version, saved=saved))
    if facts.database_version != facts.wanted_database_version:
        found, wanted = facts.database_version, facts.wanted_database_version
        wrong.append(told("wrong_schema", found=found, wanted=wanted))
    started = told(
        "started", version=facts.version, modules=len(facts.modules), php=facts.php_version
    )
    return Check("start", good=not wrong, told=started, wrong=tuple(wrong))


def _pages_check(seen: Seen) -> Check:
    if not seen.sights:
        return Check("pages", good=False, told=_NOT_TRIED)
    slowest = max(sight.seconds for sight in seen.sights)
    looked = told("pages_seen", count=len(seen.sights), seconds=f"{slowest:.2f}")
    wrong = tuple(told("page_wrong", complaint=one) for one in seen.complaints)
    return Check("pages", good=not wrong, told=looked, wrong=wrong)


def _safe_check(seen: Seen) -> Check:
    if seen.safe is None:
        return Check("no mail", good=False, told=_why_not(seen, "safe"))
    return Check("no mail", good=seen.safe, told=told("safe" if seen.safe else "unsafe"))


def _named(wrong: Iterable[Told]) -> Iterator[Told]:
    found = list(wrong)
    yield from found[:_MOST]
    if len(found) > _MOST:
        yield told("more", count=len(found) - _MOST)


def _shown(path: str) -> str:
    """Return a path as text that can be encoded: bytes that are no UTF-8 are escaped."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
