"""Golden cases: a step's settings and what was seen on the left, the changes it plans on the right."""

from __future__ import annotations

import hashlib
import keyword
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from opsplay import steps
from opsplay.core.action import to_data
from opsplay.core.change import Change
from opsplay.core.drivers import Facts, Module, Offer
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import OpsplayError
from opsplay.core.site import Site
from opsplay.core.step import KINDS, Step
from opsplay.steps.command import Variable
from opsplay.steps.file import SeenFile

steps.load()
CASES = sorted(Path(__file__).with_name("cases").glob("*/*.yaml"))
SHOWN = ("before", "after", "loses", "key", "version", "package", "difference")


def site(environment: str) -> Site:
    places = {
        name: Environment(name, Host("local"), f"/srv/{name}", f"https://{name}.example")
        for name in ("production", "staging")
    }
    return Site("bakery", "spelled-test-cms", places, vault="offsite", looking_at=environment)


def step(kind: str, settings: dict[str, Any]) -> Step[Any]:
    return KINDS[kind](
        **{
            f"{key}_" if keyword.iskeyword(key) else key: _setting(settings[key])
            for key in settings
        }
    )


def _setting(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_setting(item) for item in value)
    return Variable(**value) if isinstance(value, dict) and "name" in value else value


def wished(kind: str, case: dict[str, Any]) -> Step[Any]:
    wish = step(kind, case.get("settings", {}))
    if "forecast_from" in case:
        wish = wish.forecast(step(kind, case["forecast_from"]))
    return wish.rehearsed(case["rehearsed"]) if "rehearsed" in case else wish


def seen(kind: str, case: dict[str, Any]) -> Any:
    told = case.get("seen")
    match kind:
        case "cms_update" | "module_update":
            return _facts(told)
        case "file":
            return _file(told["content"].encode(), told.get("mode", 0o644)) if told else SeenFile()
        case _:
            return told


def _file(content: bytes, mode: int) -> SeenFile:
    return SeenFile(hashlib.sha256(content).hexdigest(), len(content), mode, content)


def _facts(told: dict[str, Any]) -> Facts:
    modules = tuple(
        Module(name, version, offer=Offer(**offer[0]) if offer else None)
        for name, (version, *offer) in told.get("modules", {}).items()
    )
    facts = Facts(
        version="6.4.5",
        database_version="56657",
        wanted_database_version="56657",
        modules=modules,
        offers=tuple(Offer(**offer) for offer in told.get("offers", [])),
        unfinished={key: Offer(**offer) for key, offer in told.get("unfinished", {}).items()},
    )
    plain = ("version", "database_version", "wanted_database_version", "source_error")
    return replace(facts, **{key: told[key] for key in plain if key in told})


def shown(change: Change) -> dict[str, Any]:
    told = {"what": change.what} | {name: getattr(change, name) for name in SHOWN}
    told |= {"do": to_data(change.do), "undo": change.undo and to_data(change.undo)}
    return {key: value for key, value in told.items() if value}


def contains(whole: Any, part: Any) -> bool:
    """Return whether everything that the case says is so; it need not say everything."""
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and contains(whole[key], part[key]) for key in part)
    return bool(whole == part)


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_plan_is_as_the_case_says(path: Path) -> None:
    case = yaml.load(path.read_text(), Loader=yaml.CSafeLoader)
    kind = path.parent.name
    where = site(case.get("environment", "staging"))

    def plan() -> list[dict[str, Any]]:
        return [shown(change) for change in wished(kind, case).plan(where, seen(kind, case))]

    if "error" in case:
        with pytest.raises(OpsplayError, match=case["error"]) as raised:
            plan()
        assert "nothing was changed" in raised.value.state
    else:
        changes = plan()
        assert len(changes) == len(case["changes"]), changes
        for change, expected in zip(changes, case["changes"], strict=True):
            assert contains(change, expected), change


def test_every_kind_has_a_case() -> None:
    ours = {kind for kind, cls in KINDS.items() if cls.__module__.startswith("opsplay.steps.")}

    assert {path.parent.name for path in CASES} == ours
