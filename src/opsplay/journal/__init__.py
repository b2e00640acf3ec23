"""The journal: an append-only, hash-chained record of what was meant and what was done."""

from opsplay.journal.store import Journal, RunSummary

__all__ = ["Journal", "RunSummary"]
