"""A playbook and two sites, small enough to be seen whole."""

from __future__ import annotations

import pytest

from opsplay.language import inventory_from_texts, playbook_from_text

PLAYBOOK = """\
name: Small
vars: {word: bread}
stages:
  - name: Look
    steps:
      - smoke_test: {contains: ["{{ word }}"]}
"""

SITE = """\
client: {client}
sites:
  {name}:
    cms: wordpress
    tags: [{tag}, all-of-them]
    vault: here
    environments:
      production: {{host: deploy@web1:2222, root: /srv/{name}, url: "https://{name}.example"}}
"""

TEXTS = {
    "inventory/bakery.yaml": SITE.format(name="bakery", client="Bakery", tag="monthly"),
    "inventory/florist.yaml": SITE.format(name="florist", client="Florist", tag="weekly"),
    "inventory/vaults.yaml": "vaults: {here: {kind: folder, folder: backups}}\n",
}


@pytest.fixture
def playbook():
    return playbook_from_text(PLAYBOOK, "small.yaml")


@pytest.fixture
def inventory():
    return inventory_from_texts(TEXTS)


@pytest.fixture
def bakery(inventory):
    return inventory.sites["bakery"]
