"""Approved by the client, published by night: the shipped playbook on real WordPress."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

pytestmark = [
    pytest.mark.real, pytest.mark.story, pytest.mark.proof, pytest.mark.timeout(600),
]  # fmt: skip

BY_NIGHT = '"22:00-05:00 Europe/Paris"'


def asked_for(ops):
    (asked,) = [event for event in ops.events() if event["event"] == "approval_asked"]
    return {item["what"]: item for item in asked["what"]}


def test_what_the_client_agreed_to_is_published_and_nothing_that_came_out_since(ops):
    lab = ops.lab
    day = f"{datetime.now(UTC) + timedelta(days=3):%a}".lower()
    another_day = f'{{hours: "00:00-24:00", timezone: UTC, days: [{day}]}}'
    book = (ops.folder / "playbooks/update-with-approval.yaml").read_text()
    playbook = ops.write("later.yaml", book.replace(BY_NIGHT, another_day))
    before = lab.fingerprint("bakery", "production")

    ran = ops("run", playbook, "--limit", "bakery")

    assert ran.exit_status == 5, ran.text
    assert lab.fingerprint("bakery", "production") == before
    assert lab.version("bakery", "staging").files == "6.5.5"
    wanted = asked_for(ops)
    assert (wanted["WordPress"]["before"], wanted["WordPress"]["after"]) == ("6.4.5", "6.5.5")
    assert wanted["plugin lab-shop"]["after"] == "1.1.0"
    assert all("#sha256=" in item["package"] for item in wanted.values())

    lab.offer(core=["6.5.5", "7.1.1"], plugins={"lab-shop": "1.3.0"})  # while everybody waits
    given = ops("approve", "last", "--by", "the baker")
    approved = ops("resume", "last", "--json")

    assert given.exit_status == 0, given.text
    assert "WordPress" in given.stdout
    assert approved.exit_status == 5, approved.text
    assert approved.json[-1]["waiting"][0]["reason"] == "window"
    assert lab.fingerprint("bakery", "production") == before
    assert "lock_taken" not in {
        event["event"] for event in ops.events() if event.get("environment") == "production"
    }

    published = ops("resume", "last", "--now")

    assert published.exit_status == 0, published.text
    version = lab.version("bakery", "production")
    assert (version.files, version.page) == ("6.5.5", "6.5.5")
    status, body = lab.page(lab.environment("bakery", "production").url)
    assert status == 200
    assert 'name="lab-shop" content="1.1.0"' in body
    assert "approved by the baker" in ops("logs", "last").stdout
