"""Workers on a real PostgreSQL, with sites that are directories of this machine."""

from __future__ import annotations

import string
import threading
from contextlib import contextmanager
from dataclasses import replace

import pytest
from tests.engine.paper_cms import NAME, PaperCms
from tests.engine.workplace import Workplace
from tests.workers.fleet import Fleet, wait_until

from opsplay.app.workers import serve
from opsplay.core import drivers
from opsplay.engine.tools import Stop
from opsplay.language import inventory

NAMES = [*string.ascii_lowercase, *map(str, range(1000))]


@pytest.fixture
def url(database_server):
    return database_server.emptied()


@pytest.fixture(autouse=True)
def paper_cms(monkeypatch):
    """Make the paper CMS known to a test, and forget it afterwards."""
    monkeypatch.setitem(drivers._DRIVERS, NAME, PaperCms)
    inventory._schema.cache_clear()
    yield
    inventory._schema.cache_clear()


@pytest.fixture
def fleet_of(tmp_path, monkeypatch, url):
    """Make a fleet of so many sites: a, b, c …"""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("OPSPLAY_JOURNAL", raising=False)

    def make(number):
        names = tuple(f"site-{NAMES[one]}" for one in range(number))
        return Fleet(Workplace(tmp_path, names).build(), url)

    return make


@contextmanager
def serving(fleet, name="one", *, patience=3.0, at_once=4):
    """Serve in a thread of this process; give what it told and its stop."""
    told, stop = [], Stop()
    options = replace(fleet.options, stop=stop)
    failed = []

    def work():
        try:
            serve(options, told.append, name, at_once=at_once, patience=patience)
        except BaseException as error:
            failed.append(error)
            raise

    thread = threading.Thread(target=work, name=f"serve {name}")
    thread.start()
    try:
        wait_until(lambda: failed or any(one.what == "serving" for one in told))
        yield told, stop
    finally:
        stop.request()
        thread.join(60)
        assert not thread.is_alive()
        assert not failed
