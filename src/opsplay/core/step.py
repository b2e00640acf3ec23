"""A step: one declared wish. Two pure methods, nothing else to learn.

`probe` says what must be known; `plan` says what would change. The engine alone acts. Adding a
step kind is one file in `opsplay.steps` with one class; schema, validation and docs follow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, dataclass_transform

from opsplay.core.change import Change
from opsplay.core.query import NOTHING, Query
from opsplay.core.site import Site

T = TypeVar("T")

KINDS: dict[str, type[Step[Any]]] = {}
"""Every step kind by its YAML name; filled as step classes are defined."""


def param(
    description: str, *, default: Any = MISSING, examples: Sequence[Any] = (), **limits: Any
) -> Any:
    """Declare one setting of a step: its text in the schema, the docs and the editor.

    `limits` are JSON Schema keywords that go into the schema as they are (`minimum`, `pattern`, …).
    Allowed types: str, int, float, bool, Literal of strings, tuple[str, ...], Mapping[str, str],
    Secret, and tuples of frozen dataclasses whose fields are declared with `param` too.
    """
    metadata = {"description": description, "examples": list(examples), "limits": limits}
    if isinstance(default, Mapping):
        # Read-only mappings cannot be hashed, which dataclasses take for mutable.
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
class Step(Generic[T]):
    """Base of all step kinds. A subclass is a frozen dataclass without saying so.

    `class Backup(Step[Seen], kind="backup")`; the class docstring is the reference text.
    """

    kind: ClassVar[str]
    convergent: ClassVar[bool] = True
    """Planning again after it was done gives no change; that is how it is verified."""
    when_unknown: ClassVar[Literal["rerun", "probe", "ask"]] = "probe"
    """What a resume does about an act whose end nobody saw. `probe`: plan again, for what is left
    to do can be looked up (only where `convergent`). `rerun`: do it again, which does no harm.
    `ask`: a person has to say whether it was done."""
    together: ClassVar[bool] = False
    """Its acts may be done in one script with those of its neighbours, and looked at afterwards."""
    observes: ClassVar[bool] = False
    """It only looks (smoke_test): its changes count as checks, never as pending changes."""
    on_host: ClassVar[bool] = True
    """It needs the environment's host. False: it works where that is gone, and takes no lock there."""

    def __init_subclass__(cls, kind: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclass(frozen=True)(cls)
        if kind:
            cls.kind = kind
            KINDS[kind] = cls

    def probe(self, site: Site) -> Query[T]:
        """Return the question whose answer `plan` needs. Pure."""
        return NOTHING  # type: ignore[return-value]  # T is None for steps that ask nothing

    def plan(self, site: Site, seen: T) -> Iterable[Change]:
        """Yield what would change, in order; nothing when the wish is fulfilled. Pure."""
        raise NotImplementedError

    def forecast(self, rehearsal: Step[Any] | None) -> Self:
        """Return this wish as it can be planned before the rehearsal was held."""
        return self

    def rehearsed(self, changes: Iterable[Mapping[str, str]]) -> Self:
        """Return this wish with the exact versions that the rehearsal brought.

        `changes`: `key`, `version`, `package` of what the rehearsal's step of the same kind did.
        """
        return self

    def copies_from(self) -> str:
        """Return the environment that this step copies over its own, empty when it does not.

        Later steps of the stage are then forecast on what will be copied.
        """
        return ""
