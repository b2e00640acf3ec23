"""A customer of a real WordPress asks to be erased: live, in backups, and nowhere in the journal."""

from __future__ import annotations

import pytest
from tests.stories.during import is_open, locks

pytestmark = [pytest.mark.real, pytest.mark.story, pytest.mark.timeout(200)]

PUBLISH = """\
name: Straight to production
sites: florist
stages:
  - name: Publish
    maintenance: true
    on_failure: rollback
    steps:
      - cms_update: {to: latest}
"""
WHO = ("--table=wp_users", "--asked-by=register 2026-17")


def people(ops, environment: str = "production") -> set[str]:
    rows = ops.lab.sql("florist", environment, "SELECT user_email FROM wp_users")
    return {str(row[0] if isinstance(row, (list, tuple)) else row) for row in rows}


@pytest.mark.proof
def test_who_asked_to_be_erased_is_gone_from_the_site_and_does_not_come_back(ops):
    saved = ops("run", "playbooks/backup.yaml", "--limit", "florist")
    assert saved.exit_status == 0, saved.text
    anna = sorted(people(ops))[3]
    others = people(ops) - {anna}
    where = f"--where=user_email={anna}"

    looked = ops("erase", "florist", *WHO, where, "--delete", "--check")
    assert looked.exit_status == 0, looked.text
    assert "1 row that it means" in looked.text
    assert "nothing was written" in looked.text
    assert ops("erasures", "--json").json[0]["erasures"] == []
    assert anna in people(ops)

    done = ops("erase", "florist", *WHO, where, "--delete", "--live")
    assert done.exit_status == 0, done.text
    assert people(ops) == others
    (listed,) = ops("erasures", "florist", "--json").json[0]["erasures"]
    assert listed["applied_at"]

    for environment in ("production", "staging"):
        back = ops("restore", "florist", "--to", environment, "--yes")
        assert back.exit_status == 0, back.text
        assert people(ops, environment) == others
        assert is_open(ops, "florist", environment)
    assert locks(ops, "web2") == locks(ops, "web3") == []
    assert anna.encode() not in ops.journal.read_bytes()
    assert anna not in done.text


@pytest.mark.proof
def test_who_was_erased_after_an_update_does_not_come_back_when_it_is_rolled_back(ops):
    book = ops.write("publish.yaml", PUBLISH)
    assert ops("run", book).exit_status == 0
    anna = sorted(people(ops))[3]
    others = people(ops) - {anna}
    done = ops("erase", "florist", *WHO, f"--where=user_email={anna}", "--delete", "--live")
    assert done.exit_status == 0, done.text

    back = ops("rollback", "last", "--yes")

    assert back.exit_status == 0, back.text
    assert ops.lab.version("florist", "production").files == "6.4.5"
    assert people(ops) == others
    assert is_open(ops, "florist")


def test_a_request_that_would_keep_a_restored_site_closed_is_not_recorded(ops):
    refusals = {
        "wp_users has no column nobody": (*WHO, "--where=nobody=x", "--delete"),
        "has no table wp_nobody": ("--table=wp_nobody", *WHO[1:], "--where=ID=1", "--delete"),
        "one person, really": (*WHO, "--where=user_status=0", "--delete", "--at-most=3"),
    }

    for says, words in refusals.items():
        refused = ops("erase", "florist", *words)
        assert refused.exit_status in {1, 2}, refused.text
        assert says in refused.text
    assert ops("erasures", "--json").json[0]["erasures"] == []
