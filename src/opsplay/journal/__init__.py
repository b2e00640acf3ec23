"""The journal: an append-only, hash-chained record of what was meant and what was done."""

from opsplay.journal.store import EPOCHS, Entry, Journal, is_url, open_journal
from opsplay.journal.summaries import RunSummary

__all__ = ["EPOCHS", "Entry", "Journal", "RunSummary", "is_url", "open_journal"]
