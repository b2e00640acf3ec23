"""The driver of these tests is known while they run, and to nobody else: schemas list all drivers."""

import pytest
from tests.steps.spelled_cms import SpelledCms

from opsplay.core import drivers


@pytest.fixture(autouse=True)
def spelled_cms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(drivers._DRIVERS, "spelled-test-cms", SpelledCms)
