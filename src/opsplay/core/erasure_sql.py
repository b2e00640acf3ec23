"""The SQL of erasure requests, for MariaDB and MySQL, and the reading of its answers. Pure.

Names were checked when the request was made and stand between backticks; every value is a
hexadecimal literal, so that no text of anybody can become SQL. Rows are found by comparing bytes:
neither case nor accents nor a number's notation may make one person another.
"""

# ruff: noqa: S608 - this module is what makes SQL safe; its tests attack it
from __future__ import annotations

from collections.abc import Iterable, Mapping

from opsplay.core.erasure import Erasure, identifier
from opsplay.core.errors import StepFailed, UnreadableAnswer

Known = Mapping[str, frozenset[str]]
"""Table → its columns, as the restored database has them."""

_NOTHING_LEFT = "[^-0.: ]"
"""What an emptied column may not hold: NULL, '', 0 and 0000-00-00 are all nothing."""
_END = "SELECT 'erasures', 'end', 0;"


def look(erasures: Iterable[Erasure]) -> str:
    """Return the question which of the tables are there, and their columns."""
    tables = ", ".join(f"'{identifier(name)}'" for name in sorted({one.table for one in erasures}))
    return (
        "SELECT table_name, column_name FROM information_schema.columns"
        f" WHERE table_schema = DATABASE() AND table_name IN ({tables});\n{_END}\n"
    )


def read_tables(text: str) -> Known:
    """Return what the answer to `look` says. Raises UnreadableAnswer unless it came to its end."""
    found: dict[str, set[str]] = {}
    for row in _rows(text):
        if len(row) == 2:  # noqa: PLR2004  # table and column
            found.setdefault(row[0], set()).add(row[1])
    return {table: frozenset(columns) for table, columns in found.items()}


def applicable(erasures: Iterable[Erasure], known: Known) -> tuple[Erasure, ...]:
    """Return those whose table is there: where it is not, there is nothing to erase.

    Raises:
        StepFailed: a table lacks a column, so that nobody knows whether the person is in it.
    """
    here = tuple(one for one in erasures if one.table in known)
    for one in here:
        if lacking := sorted({one.key_column, *one.columns} - known[one.table]):
            raise StepFailed(f"erasure {one.id}: {one.table} has no column {', '.join(lacking)}")
    return here


def count(erasures: Iterable[Erasure]) -> str:
    """Return the question how many rows each request means."""
    return "".join(f"{_counted(one, _match(one))}\n" for one in erasures) + f"{_END}\n"


def statements(erasure: Erasure) -> tuple[str, ...]:
    """Return the statements that carry a request out; done twice they change nothing more."""
    if erasure.delete:
        return (f"DELETE FROM {_name(erasure.table)} WHERE {_match(erasure)};",)
    wanted = ", ".join(f"{_name(name)} = {_value(text)}" for name, text in _columns(erasure))
    return (f"UPDATE {_name(erasure.table)} SET {wanted} WHERE {_match(erasure)};",)


def apply(erasures: Iterable[Erasure]) -> str:
    """Return what carries all of them out, in one transaction, and then counts what is left.

    Without strict mode, NULL makes a column that may not be NULL empty.
    """
    erasures = tuple(erasures)
    done = [text for one in erasures for text in statements(one)]
    left = [_counted(one, f"{_match(one)}{_unfinished(one)}") for one in erasures]
    begin = ("SET NAMES utf8mb4;", "SET SESSION sql_mode = '';", "START TRANSACTION;")
    return "\n".join([*begin, *done, "COMMIT;", *left, _END, ""])


def read_counts(text: str, erasures: Iterable[Erasure]) -> Mapping[str, int]:
    """Return request → rows. Raises UnreadableAnswer unless every one of them was answered."""
    rows = [row for row in _rows(text) if len(row) == 3 and row[0] == "erasure"]  # noqa: PLR2004
    told = {name: int(number) for _, name, number in rows if number.isdigit()}
    if lacking := sorted({one.id for one in erasures} - told.keys()):
        raise UnreadableAnswer(f"the database did not say how many rows are meant: {lacking[0]}")
    return told


def _rows(text: str) -> list[list[str]]:
    rows = [line.split("\t") for line in text.splitlines()]
    if rows[-1:] != [["erasures", "end", "0"]]:
        raise UnreadableAnswer("the database's answer about erasures has no end")
    return rows[:-1]


def _counted(erasure: Erasure, condition: str) -> str:
    return (
        f"SELECT 'erasure', '{erasure.id}', COUNT(*) FROM {_name(erasure.table)} WHERE {condition};"
    )


def _match(erasure: Erasure) -> str:
    return f"{_bytes(erasure.key_column)} = {_hex(erasure.key_value)}"


def _unfinished(erasure: Erasure) -> str:
    """Return the condition of rows that should have been changed and were not."""
    if erasure.delete or (erasure.key_column in erasure.columns and _changes_key(erasure)):
        return ""
    wrong = (
        f"COALESCE(CONVERT({_name(name)} USING utf8mb4), '') REGEXP '{_NOTHING_LEFT}'"
        if text is None
        else f"NOT ({_bytes(name)} <=> {_hex(text)})"
        for name, text in _columns(erasure)
    )
    return f" AND ({' OR '.join(wrong)})"


def _changes_key(erasure: Erasure) -> bool:
    return erasure.columns[erasure.key_column] != erasure.key_value


def _columns(erasure: Erasure) -> list[tuple[str, str | None]]:
    # MySQL computes assignments from left to right: the key stays as it was until the last one.
    return sorted(erasure.columns.items(), key=lambda one: (one[0] == erasure.key_column, one[0]))


def _name(name: str) -> str:
    return f"`{identifier(name)}`"


def _bytes(column: str) -> str:
    return f"CAST(CONVERT({_name(column)} USING utf8mb4) AS BINARY)"


def _hex(text: str) -> str:
    return f"X'{text.encode().hex().upper()}'"


def _value(text: str | None) -> str:
    return "NULL" if text is None else f"CONVERT({_hex(text)} USING utf8mb4)"
