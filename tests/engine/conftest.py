"""A workplace for each test that wants one."""

from __future__ import annotations

import pytest
from tests.engine.workplace import Workplace


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return Workplace(tmp_path).build()
