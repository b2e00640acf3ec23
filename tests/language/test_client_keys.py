"""A client's own keys stand at the top of its file, and hold for its sites alone."""

from __future__ import annotations

import pyrage
import pytest

from opsplay.core.errors import InvalidInput
from opsplay.language import inventory_from_texts

KEY = str(pyrage.x25519.Identity.generate().to_public())
SITE = """\
sites:
  NAME:
    cms: wordpress
    environments: {production: {host: local, root: /srv/NAME, url: "https://NAME.example"}}
"""


def texts(keys: str) -> dict[str, str]:
    return {
        "inventory/bakery.yaml": f"client: Boulangerie\n{keys}{SITE.replace('NAME', 'bakery')}",
        "inventory/florist.yaml": SITE.replace("NAME", "florist"),
    }


def test_a_clients_keys_are_for_the_sites_of_its_file():
    keys = f'recipients: ["{KEY}"]\nidentity: {{secret: "file:keys/bakery.txt"}}\n'
    sites = inventory_from_texts(texts(keys)).sites

    assert sites["bakery"].recipients == (KEY,)
    assert sites["bakery"].identity.reference == "file:keys/bakery.txt"
    assert (sites["florist"].recipients, sites["florist"].identity) == ((), None)


@pytest.mark.parametrize(
    ("keys", "says"),
    [
        (f"recipients: [{KEY[:-1]}]\n", "not an age public key"),
        ("recipients: [AGE-SECRET-KEY-1XYZ]\n", "secret age key"),
        ("identity: AGE-SECRET-KEY-1XYZ\n", "bakery.yaml:2:"),
    ],
    ids=["cut off", "a secret key", "a key in place of a reference"],
)
def test_a_key_that_is_none_is_told_at_its_place(keys: str, says: str):
    with pytest.raises(InvalidInput) as caught:
        inventory_from_texts(texts(keys))
    assert "inventory/bakery.yaml:2:" in str(caught.value)
    assert says in str(caught.value)
    assert "1XYZ" not in str(caught.value)
