"""A driver whose scripts are the names of what was asked for: golden cases read like sentences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from opsplay.core.environment import Environment
from opsplay.core.query import Query


@dataclass(frozen=True)
class SpelledCms:
    environment: Environment
    title = "WordPress"
    module_word = "plugin"

    def facts(self) -> Query[None]:
        return Query("facts", lambda _answer: None)

    def __getattr__(self, name: str) -> Callable[..., str]:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *words: " ".join((name, *words)).strip()
