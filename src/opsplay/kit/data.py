"""Dataclasses that are ready quickly: what a class needs is made when it is first needed.

The standard decorator writes six functions as text and has each compiled, 0.5 ms a class, which was a
fifth of a run that finds nothing to do. Here comparing, hashing and showing are functions that
all classes share, and the one that has to be written, `__init__`, is made when the first object is.
Import `dataclass` from here, everything else from `dataclasses`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - type checkers see the real one
else:

    def dataclass(cls: type | None = None, /, **options: bool) -> Any:
        """Make a dataclass of `cls`, as the standard decorator does; others than frozen: by it."""
        if cls is None:
            return lambda one: dataclass(one, **options)
        if options != {"frozen": True}:
            return dataclasses.dataclass(**options)(cls)
        return _frozen(cls)


def _frozen(cls: Any) -> Any:
    own = dict(cls.__dict__)
    if not cls.__doc__:
        cls.__doc__ = cls.__name__  # else the standard decorator works out a signature to show
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    fields = dataclasses.fields(cls)
    made = {
        "__init__": _late_init(cls),
        "__repr__": _shown([field.name for field in fields if field.repr]),
        "__eq__": _equal([field.name for field in fields if field.compare]),
        "__hash__": _hashed([field.name for field in fields if _counts(field)]),
        "__setattr__": _closed(cls, "assign to", object.__setattr__),
        "__delattr__": _closed(cls, "delete", object.__delattr__),
    }
    for name, function in made.items():
        # Whoever writes an `__eq__` has None for a `__hash__`, and did not ask for it.
        if own.get(name) is None:
            function.__qualname__ = f"{cls.__qualname__}.{name}"
            setattr(cls, name, function)
    return cls


def _counts(field: dataclasses.Field[Any]) -> bool:
    return field.compare if field.hash is None else field.hash


def _late_init(cls: Any) -> Callable[..., None]:
    def init(self: Any, *args: Any, **named: Any) -> None:
        made = _init(cls)
        cls.__init__ = made  # from now on without this detour
        made(self, *args, **named)

    return init


def _init(cls: Any) -> Callable[..., None]:
    """Return the `__init__` of a class: one parameter a field, in their order."""
    names: dict[str, Any] = {"_set": object.__setattr__, "_missing": dataclasses.MISSING}
    parameters, lines = ["self"], []
    for field in dataclasses.fields(cls):
        name, value = field.name, field.name
        if field.default_factory is not dataclasses.MISSING:
            names[f"_make_{name}"] = field.default_factory
            parameters.append(f"{name}=_missing")
            value = f"_make_{name}() if {name} is _missing else {name}"
        elif field.default is not dataclasses.MISSING:
            names[f"_default_{name}"] = field.default
            parameters.append(f"{name}=_default_{name}")
        else:
            parameters.append(name)
        lines.append(f"_set(self, {name!r}, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    text = f"def init({', '.join(parameters)}):\n  " + "\n  ".join(lines or ["pass"])
    exec(text, names)  # noqa: S102 - as the standard decorator does; only names of fields are in it
    made: Callable[..., None] = names["init"]
    made.__name__, made.__qualname__ = "__init__", f"{cls.__qualname__}.__init__"
    return made


def _shown(names: Sequence[str]) -> Callable[[Any], str]:
    def shown(self: Any) -> str:
        told = ", ".join(f"{name}={getattr(self, name)!r}" for name in names)
        return f"{type(self).__qualname__}({told})"

    return shown


def _equal(names: Sequence[str]) -> Callable[[Any, object], Any]:
    values_of = _values(names)

    def equal(self: Any, other: object) -> Any:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return values_of(self) == values_of(other)

    return equal


def _hashed(names: Sequence[str]) -> Callable[[Any], int]:
    values_of = _values(names)
    return lambda self: hash(values_of(self))


def _values(names: Sequence[str]) -> Callable[[Any], Any]:
    if len(names) > 1:
        return attrgetter(*names)
    value_of = attrgetter(*names) if names else lambda _one: None
    return lambda one: (value_of(one),)


def _closed(cls: Any, what: str, act: Callable[..., None]) -> Callable[..., None]:
    known = frozenset(field.name for field in dataclasses.fields(cls))

    def closed(self: Any, name: str, *value: Any) -> None:
        if type(self) is cls or name in known:
            raise dataclasses.FrozenInstanceError(f"cannot {what} field {name!r}")
        act(self, name, *value)

    return closed
