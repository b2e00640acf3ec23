"""Frozen dataclasses as JSON-ready data, and back, strictly: manifests and their like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from opsplay.core.errors import UnreadableAnswer

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Return a value made of dataclasses, tuples, mappings and times as data for JSON."""
    match value:
        case datetime():
            return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
        case tuple():
            return [plain(one) for one in value]
        case Mapping():
            return dict(value)
        case _ if is_dataclass(value):
            return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
        case _:
            return value


def read(kind: type[T], data: Any, where: str) -> T:
    """Return `data` as a value of `kind`; fields that are not known are passed over.

    Raises:
        UnreadableAnswer: a field is missing or of the wrong type; `where` and the field are named.
    """
    if get_origin(kind) is UnionType and data is not None:
        kind = next(one for one in get_args(kind) if one is not NoneType)
    if is_dataclass(kind) and isinstance(data, dict):
        return _read_fields(kind, data, where)
    if kind is datetime and isinstance(data, str):
        return _read_time(data, where)  # type: ignore[return-value]  # T is datetime here
    parts, arguments = get_origin(kind), get_args(kind)
    if parts is tuple and isinstance(data, list):
        items = enumerate(data)
        return tuple(read(arguments[0], one, f"{where}[{n}]") for n, one in items)  # type: ignore[return-value]
    if parts is Mapping and isinstance(data, dict):
        values = {key: read(arguments[1], one, f"{where}.{key}") for key, one in data.items()}
        return MappingProxyType(values)  # type: ignore[return-value]
    if _fits(kind, data):
        return data  # type: ignore[no-any-return]
    raise UnreadableAnswer(f"{where}: {data!r} is not what belongs here")


def _fits(kind: Any, data: Any) -> bool:
    if get_origin(kind) is Literal:
        return data in get_args(kind)
    if get_origin(kind) is UnionType:
        return any(_fits(one, data) for one in get_args(kind))
    return type(data) is kind


def _read_fields(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    hints = _hints(kind)  # type: ignore[arg-type]  # a class is hashable, whatever mypy says
    known = fields(kind)  # type: ignore[arg-type]  # the caller made sure that it is a dataclass
    missing = [one.name for one in known if one.name not in data and not _optional(one)]
    if missing:
        raise UnreadableAnswer(f"{where}: field `{missing[0]}` is missing")
    told = [one.name for one in known if one.name in data]
    return kind(**{name: read(hints[name], data[name], f"{where}.{name}") for name in told})


@cache
def _hints(kind: type) -> dict[str, Any]:
    """Return the types of a dataclass's fields; a manifest of many packs asks for them often."""
    return get_type_hints(kind)


def _optional(one: Field[Any]) -> bool:
    return one.default is not MISSING or one.default_factory is not MISSING


def _read_time(text: str, where: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except ValueError as error:
        raise UnreadableAnswer(f"{where}: {text!r} is not a time") from error
