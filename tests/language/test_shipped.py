"""What ships: playbooks, inventories, a new ops repository, and a quick start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from opsplay.core.errors import InvalidInput
from opsplay.language import (
    check_together,
    inventory_from_texts,
    read_inventory,
    read_playbook,
    write_starter,
)
from opsplay.language.files import repository

PLAYBOOKS = sorted((repository() / "playbooks").glob("*.yaml"))
RECIPIENT = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"


def lab_facts():
    """Return facts such as the lab writes."""
    known = {
        "lab_ssh_config": "ssh/config", "lab_s3_endpoint": "http://127.0.0.1:8333",
        "lab_s3_region": "us-east-1", "lab_s3_bucket": "opsplay", "lab_age_recipient": RECIPIENT,
        "lab_s3_access_key_file": "a", "lab_s3_secret_key_file": "b", "lab_age_identity_file": "c",
        "lab_s3_daily_access_key_file": "d", "lab_s3_daily_secret_key_file": "e",
        "lab_s3_expiry_access_key_file": "f", "lab_s3_expiry_secret_key_file": "g",
    }  # fmt: skip
    for one in ("bakery_production", "bakery_staging", "florist_production", "florist_staging"):
        known |= {f"{one}_host": "lab-web1", f"{one}_root": f"/srv/{one}"}
        known |= {f"{one}_url": "http://127.0.0.1:8080", f"{one}_error_log": "/srv/log"}
    return "".join(f'{key}: "{value}"\n' for key, value in known.items())


@pytest.fixture(scope="module")
def lab_inventory():
    texts = {
        f"inventory/{path.name}": path.read_text()
        for path in (repository() / "inventory").glob("*.yaml")
    }
    return inventory_from_texts(texts | {".lab/facts.yaml": lab_facts()})


@pytest.mark.parametrize("path", PLAYBOOKS, ids=lambda path: path.stem)
def test_each_shipped_playbook_fits_the_lab(path, lab_inventory):
    sites = check_together(read_playbook(path, extra_vars={"run": "last"}), lab_inventory)

    assert [site.name for site in sites] == ["bakery", "florist"]
    assert path.read_text().startswith(
        "# yaml-language-server: $schema=../schemas/playbook.schema.json\n"
    )


def test_the_update_has_the_promised_shape():
    book = read_playbook(repository() / "playbooks" / "update.yaml")

    assert [stage.name for stage in book.stages] == ["Protect", "Rehearse", "Publish"]
    assert [stage.prepares for stage in book.stages] == ["Publish", "Publish", ""]
    assert book.stages[2].maintenance
    assert book.stages[2].on_failure == "rollback"
    assert book.serial == ("1", "25%")


def test_the_update_with_approval_asks_before_it_backs_up_and_publishes_by_night():
    book = read_playbook(repository() / "playbooks" / "update-with-approval.yaml")

    names = [stage.name for stage in book.stages]
    assert names == ["Rehearse", "Ask the client", "Protect", "Publish"]
    assert [stage.prepares for stage in book.stages] == ["Publish", "Publish", "Publish", ""]
    assert [step.kind for step in book.stages[1].steps] == ["approve"]
    assert [stage.window is not None for stage in book.stages] == [False, False, True, True]


def test_without_the_lab_the_inventory_says_how_to_start_it(lab_inventory):
    texts = {path: text for path, text in lab_inventory.texts.items() if "facts" not in path}

    with pytest.raises(InvalidInput, match=r"start the lab with: invoke lab\.up"):
        inventory_from_texts(texts)


def test_a_new_ops_repository_works_once_the_example_is_filled_in(tmp_path):
    write_starter(tmp_path)
    sample = (tmp_path / "inventory/example.yaml.sample").read_text()
    filled = sample.replace("age1PASTE-YOUR-PUBLIC-KEY-HERE", RECIPIENT)
    (tmp_path / "inventory/bakery.yaml").write_text(filled)

    inventory = read_inventory(tmp_path / "inventory")

    assert check_together(read_playbook(tmp_path / "playbooks/update.yaml"), inventory)
    assert inventory.sites["bakery"].contacts[0]["role"] == "owner"
    assert ".opsplay/" in (tmp_path / ".gitignore").read_text()
    assert (tmp_path / "schemas/playbook.schema.json").exists()
    assert not (tmp_path / "inventory/lab.yaml").exists()


def test_the_example_as_it_is_asks_for_the_key(tmp_path):
    write_starter(tmp_path)
    sample = (tmp_path / "inventory/example.yaml.sample").read_text()
    (tmp_path / "inventory/bakery.yaml").write_text(sample)

    with pytest.raises(InvalidInput) as caught:
        read_inventory(tmp_path / "inventory")

    assert ["not an age public key" in one.cause for one in caught.value.problems] == [True]


def test_a_starter_overwrites_nothing(tmp_path):
    (tmp_path / "README.md").write_text("mine")

    with pytest.raises(InvalidInput, match="nothing was written"):
        write_starter(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_naming_the_language_loads_none_of_it():
    code = "import sys, opsplay.language; print([m for m in ('yaml','jinja2','jsonschema') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_every_name_of_the_language_is_there():
    from opsplay import language

    for name in language.__all__:
        assert callable(getattr(language, name))
    with pytest.raises(AttributeError):
        language.nothing  # noqa: B018
