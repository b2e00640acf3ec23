"""The main job, whole, on real parts: from WordPress N to N+1 with a way back at every point."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

from opsplay.lab import Lab

pytestmark = [pytest.mark.real, pytest.mark.story, pytest.mark.timeout(400)]

SITES = ("bakery", "florist")
UPDATE = "playbooks/update.yaml"


def bucket(lab: Lab) -> dict[str, bytes]:
    facts = lab.facts
    names = ("lab_s3_access_key_file", "lab_s3_secret_key_file")
    keys = [Path(facts[name]).read_text().strip() for name in names]
    client = boto3.client(
        "s3",
        endpoint_url=facts["lab_s3_endpoint"],
        region_name=facts["lab_s3_region"],
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
        config=Config(s3={"addressing_style": "path"}),
    )
    found = client.list_objects_v2(Bucket=facts["lab_s3_bucket"]).get("Contents", [])
    return {
        one["Key"]: client.get_object(Bucket=facts["lab_s3_bucket"], Key=one["Key"])["Body"].read()
        for one in found
    }


def everything(lab: Lab):
    sites = {
        (site, environment): lab.fingerprint(site, environment)
        for site in SITES
        for environment in ("production", "staging")
    }
    return sites, {key: hashlib.sha256(body).hexdigest() for key, body in bucket(lab).items()}


@pytest.mark.proof
def test_the_main_job_from_check_to_a_second_run(ops):
    lab = ops.lab
    before = everything(lab)

    checked = ops("check", UPDATE)

    assert checked.exit_status == 4, checked.text
    assert "6.4.5 → 6.5.5" in checked.stdout
    assert "5.0.2 → 5.7.2" in checked.stdout
    assert everything(lab) == before

    ran = ops("run", UPDATE)

    assert ran.exit_status == 0, ran.text
    for site in SITES:
        version = lab.version(site, "production")
        assert (version.files, version.page) == ("6.5.5", "6.5.5")
        assert version.schema == version.wanted_schema
        assert lab.version(site, "staging").files == "6.5.5"
        status, body = lab.page(lab.environment(site, "production").url)
        assert status == 200
        assert 'name="lab-shop" content="1.1.0"' in body
    check_manifests(bucket(lab))

    again = ops("run", UPDATE, "--json")

    assert again.exit_status == 0, again.text
    events = ops.events()
    states = {event["state"] for event in events if event["event"] == "step_finished"}
    assert states == {"ok"}
    assert not {"lock_taken", "bracket_opening"} & {event["event"] for event in events}
    trips = events[-1]["round_trips"]
    assert set(trips) == {"lab-web1", "lab-web2"}
    assert max(trips.values()) <= 2
    assert ops("logs.verify").exit_status == 0


def check_manifests(objects: dict[str, bytes]) -> None:
    manifests = [
        json.loads(body) for key, body in objects.items() if re.search(r"/snap/.*\.json$", key)
    ]
    assert len(manifests) == 2
    for manifest in manifests:
        for stream in manifest["streams"]:
            assert stream["segments"]
            for segment in stream["segments"]:
                body = objects[segment["key"]]
                assert (len(body), hashlib.sha256(body).hexdigest()) == (
                    segment["bytes"],
                    segment["sha256"],
                )


@pytest.mark.proof
def test_a_fatal_is_caught_on_staging_and_production_is_not_touched(ops):
    lab = ops.lab
    lab.offer(core=[], plugins={"lab-shop": "1.2.0-fatal"})
    before = lab.fingerprint("bakery", "production")

    ran = ops("run", UPDATE, "--limit", "bakery")

    assert ran.exit_status == 1, ran.text
    assert "critical error" in ran.text
    assert lab.fingerprint("bakery", "production") == before
    assert lab.page(lab.environment("bakery", "staging").url)[0] == 500
    kinds = ops.kinds()
    assert "bracket_opening" not in kinds
    assert kinds.count("lock_taken") == kinds.count("lock_freed") == 2


@pytest.mark.proof
def test_a_fatal_only_in_production_is_rolled_back_without_the_cms(ops):
    lab = ops.lab
    lab.offer(core=["6.5.5"], plugins={"lab-shop": "1.3.0"})
    lab.switch_fatal("bakery", "production", on=True)
    before = lab.fingerprint("bakery", "production")

    ran = ops("run", UPDATE, "--limit", "bakery")

    assert ran.exit_status == 3, ran.text
    assert re.search(r"kept out for \d+(\.\d+)? s", ran.text), ran.text
    status, body = lab.page(lab.environment("bakery", "production").url)
    assert (status, "6.4.5" in body) == (200, True)
    assert lab.version("bakery", "production").files == "6.4.5"
    assert before.difference(lab.fingerprint("bakery", "production")) == ()
    assert "undo_result" in ops.kinds()


def test_an_update_server_that_is_down_is_not_taken_for_up_to_date(ops):
    ops.lab.stop_source()

    ran = ops("run", UPDATE, "--limit", "bakery")

    assert ran.exit_status == 1, ran.text
    assert "update server could not be asked" in ran.text
    assert "lock_taken" not in ops.kinds()


def test_a_deleted_site_comes_back_from_its_vault_alone(ops):
    lab = ops.lab
    before = lab.fingerprint("florist", "production")
    assert ops("run", "playbooks/backup.yaml", "--limit", "florist").exit_status == 0
    destroy(lab, "florist")

    restored = ops("restore", "florist", "--yes")

    assert restored.exit_status == 0, restored.text
    assert before.difference(lab.fingerprint("florist", "production")) == ()
    assert lab.page(lab.environment("florist", "production").url)[0] == 200


def destroy(lab: Lab, site: str) -> None:
    root = lab.environment(site, "production").root
    for path in root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for (table,) in lab.sql(site, "production", "SHOW TABLES"):
        lab.sql(site, "production", f"DROP TABLE `{table}`")
    assert lab.fingerprint(site, "production").files == {}


@pytest.mark.proof
def test_a_finished_update_can_be_taken_back_later(ops):
    lab = ops.lab
    book = ops.write("direct.yaml", DIRECT)
    before = lab.fingerprint("bakery", "production")
    assert ops("run", book).exit_status == 0
    assert lab.version("bakery", "production").files == "6.5.5"

    back = ops("rollback", "last", "--yes")

    assert back.exit_status == 0, back.text
    assert lab.version("bakery", "production").files == "6.4.5"
    assert before.difference(lab.fingerprint("bakery", "production")) == ()


DIRECT = """\
name: Straight to production
sites: bakery
stages:
  - name: Publish
    maintenance: true
    on_failure: rollback
    steps:
      - cms_update: {to: latest}
      - module_update: {to: latest}
      - smoke_test: {}
"""
