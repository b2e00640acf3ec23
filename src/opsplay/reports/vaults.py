"""What a storage enforces and what its credentials may do, for a person and for a program."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from opsplay.core.enforcement import Enforced, broken, weak
from opsplay.core.event import State
from opsplay.kit.wording import counted
from opsplay.reports.words import QUIET, STYLES, SYMBOLS

if TYPE_CHECKING:
    from opsplay.core.enforcement import Probed, SetUp


def probed_table(found: Iterable[Enforced]) -> RenderableType:
    """Return the promises, one a line, as they were tried."""
    table = Table(box=box.SIMPLE, pad_edge=False, show_edge=False)
    for name in ("", "promise", "what happened"):
        table.add_column(name, no_wrap=name != "what happened")
    for one in found:
        word, state = _word(one)
        table.add_row(Text(f"{SYMBOLS[state]} {word}", STYLES[state]), one.promise, one.seen)
    return table


def _word(one: Enforced) -> tuple[str, State]:
    if one.kept is None:
        return "not tried", State.UNKNOWN
    if one.kept:
        return "kept", State.OK
    bad = {"must": ("BROKEN", State.FAILED), "should": ("weak", State.CHANGED)}
    return bad.get(one.weight, ("no", State.SKIPPED))


def verdict(name: str, probed: Probed) -> Text:
    """Return whether backups may go there, and what is weak."""
    text = Text()
    if bad := broken(probed.found):
        promises = "; ".join(one.promise for one in bad)
        text.append(f"vault {name} is refused: {promises}: not so", STYLES[State.FAILED])
    else:
        text.append(f"vault {name} can be trusted with backups", STYLES[State.OK])
        faint = len(weak(probed.found))
        text.append(f"; {counted(faint, 'weakness', 'weaknesses')}" if faint else "")
    return text.append(_left(probed), QUIET)


def _left(probed: Probed) -> str:
    if not probed.left:
        return ""
    if probed.left < 0:
        return f"\ntest objects stay below {probed.prefix}: this credential may not list versions"
    why = "the next probe deletes them where a credential may"
    return f"\n{counted(probed.left, 'test object')} below {probed.prefix} locked or not deletable; {why}"


def probed_data(probed: Probed) -> dict[str, Any]:
    """Return the same as JSON-ready data."""
    return {
        "trusted": not broken(probed.found),
        "left": probed.left,
        "below": probed.prefix,
        "found": [_data(one) for one in probed.found],
    }


def _data(one: Enforced) -> dict[str, Any]:
    told = {"name": one.name, "promise": one.promise, "kept": one.kept}
    return {**told, "weight": one.weight, "seen": one.seen}


def set_up_text(name: str, done: SetUp) -> RenderableType:
    """Return what was made, what is left to do by hand, and what the credentials could do."""
    parts: list[RenderableType] = [probed_table(done.made)]
    for title, content in done.recipe.items():
        parts += [Text(f"\n{title}:", "bold"), Text(json.dumps(content, indent=2))]
    if done.probed:
        parts += [Text("\nthe vault's own credentials:", "bold"), probed_table(done.probed.found)]
        parts.append(verdict(name, done.probed))
    else:
        parts.append(Text(f"\nthe vault's own credentials were not tried: {done.untried}"))
    return Group(*parts)


def set_up_data(done: SetUp) -> dict[str, Any]:
    """Return the same as JSON-ready data."""
    return {
        "provider": done.provider,
        "made": [_data(one) for one in done.made],
        "recipe": dict(done.recipe),
        "probed": probed_data(done.probed) if done.probed else None,
        "untried": done.untried,
    }
