"""A lab site made pristine before each test that asks for it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest
from tests.cms.installation import Installation

from opsplay.lab import Lab

PASS = "open sesame"
PASS_SHA256 = hashlib.sha256(PASS.encode()).hexdigest()


@pytest.fixture
def bakery(lab: Lab) -> Iterator[Installation]:
    """Return the bakery's production, pristine and served by a PHP that has cached nothing."""
    lab.offer_updates()
    lab.reset("bakery")
    yield Installation(lab, "bakery", "production")
    lab.start_source()
    lab.switch_fatal("bakery", "production", on=False)


@pytest.fixture
def staging(bakery: Installation) -> Installation:
    """Return the bakery's staging: a wp-config.php and an empty database."""
    return Installation(bakery.lab, "bakery", "staging")
