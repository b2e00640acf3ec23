"""Our dataclasses are the standard ones, only ready sooner."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import FrozenInstanceError, field
from typing import Any

import pytest

from opsplay.kit.data import dataclass

BOTH = pytest.mark.parametrize("make", [dataclass, dataclasses.dataclass], ids=["ours", "standard"])


def classes(make: Any) -> tuple[Any, Any]:
    @make(frozen=True)
    class Place:
        file: str
        line: int = 1
        notes: list[str] = field(default_factory=list, compare=False, repr=False)

    @make(frozen=True)
    class Column(Place):
        column: int = 1

        def __post_init__(self) -> None:
            if self.column < 1:
                raise ValueError(self.column)

    return Place, Column


@BOTH
def test_an_object_compares_hashes_and_shows_itself_by_its_fields(make: Any):
    place, column = classes(make)

    one, other = place("a", notes=["x"]), place("a", 1)

    assert one == other
    assert hash(one) == hash(other) == hash(("a", 1))
    assert one != place("a", 2)
    assert place("a") != column("a")
    assert repr(column("a", column=3)).endswith("Column(file='a', line=1, column=3)")
    assert other.notes == []
    assert other.notes is not place("a").notes


@BOTH
def test_nobody_changes_an_object(make: Any):
    place, column = classes(make)

    for one in (place("a"), column("a")):
        with pytest.raises(FrozenInstanceError, match="line"):
            one.line = 2
        with pytest.raises(FrozenInstanceError, match="file"):
            del one.file
        with pytest.raises(FrozenInstanceError):
            one.other = 2


@BOTH
def test_wrong_arguments_are_refused_by_name(make: Any):
    place, column = classes(make)

    with pytest.raises(TypeError, match=r"__init__\(\) missing 1 required.*'file'"):
        place()
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        place("a", colour=1)
    with pytest.raises(ValueError, match="0"):
        column("a", column=0)


@BOTH
def test_the_tools_for_dataclasses_work(make: Any):
    _, column = classes(make)
    one = column("a", 2, ["n"], 3)

    assert dataclasses.replace(one, line=5) == column("a", 5, column=3)
    assert dataclasses.asdict(one) == {"file": "a", "line": 2, "notes": ["n"], "column": 3}
    assert [each.name for each in dataclasses.fields(column)] == ["file", "line", "notes", "column"]
    assert column.__match_args__ == ("file", "line", "notes", "column")
    assert copy.deepcopy(one) == one


@BOTH
def test_what_a_class_writes_itself_stays(make: Any):
    @make(frozen=True)
    class Own:  # noqa: PLW1641 - the decorator gives it a hash
        name: str
        size: int = 0

        def __eq__(self, other: object) -> bool:
            return isinstance(other, Own) and self.name == other.name

        def __repr__(self) -> str:
            return "own"

    assert Own("a", 1) == Own("a", 2)
    assert repr(Own("a")) == "own"
    assert hash(Own("a", 1)) != hash(Own("a", 2))


@dataclass(frozen=True)
class Kept:
    """Can be found by its name."""

    name: str


def test_an_object_can_be_kept():
    assert pickle.loads(pickle.dumps(Kept("a"))) == Kept("a")  # noqa: S301 - our own


def test_other_kinds_are_made_by_the_standard_decorator():
    @dataclass
    class Open:
        size: int = 0

    @dataclass(frozen=True, order=True)
    class Ordered:
        size: int = 0

    one = Open()
    one.size = 2

    assert one == Open(2)
    assert Ordered(1) < Ordered(2)
