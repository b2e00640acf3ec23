"""A workplace for each law that wants a real host, and all kinds known."""

from __future__ import annotations

import pytest
from tests.engine.paper_cms import NAME, PaperCms
from tests.engine.workplace import Workplace

from opsplay.app.workshop import load_kinds
from opsplay.core import drivers
from opsplay.language import inventory

load_kinds()


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Workplace(tmp_path).build()


@pytest.fixture(autouse=True)
def paper_cms(monkeypatch):
    """Make the paper CMS known to a test, and forget it afterwards."""
    monkeypatch.setitem(drivers._DRIVERS, NAME, PaperCms)
    inventory._schema.cache_clear()  # it names every driver
    yield
    inventory._schema.cache_clear()
