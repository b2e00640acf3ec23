"""The lab is what it says: real parts, real WordPress, and nothing left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from opsplay.core.errors import LabBroken
from opsplay.core.vault import VaultSettings
from opsplay.kit.clock import SystemClock
from opsplay.kit.secret import Secret
from opsplay.lab import Lab, storage
from opsplay.lab.places import SITES
from opsplay.lab.processes import MARK
from opsplay.vaults.probing import probe

pytestmark = pytest.mark.real


def ssh(lab: Lab, host: str, script: str) -> str:
    config = lab.facts["lab_ssh_config"]
    done = subprocess.run(
        ["ssh", "-F", config, host, script], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


def marked_processes(directory: Path) -> list[str]:
    mark = f"{MARK}={directory}".encode()
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            try:
                if mark in (one / "environ").read_bytes():
                    found.append((one / "cmdline").read_text())
            except OSError:
                continue
    return found


@pytest.mark.parametrize("site", SITES)
def test_production_serves_the_old_version_and_staging_is_empty(fresh_lab: Lab, site: str):
    page = fresh_lab.page(f"{fresh_lab.environment(site, 'production').url}/product-7/")

    versions = fresh_lab.version(site, "production")

    assert (page[0], "Product 7 of the" in page[1]) == (200, True)
    assert '<meta name="lab-shop" content="1.0.0">' in page[1]
    assert (versions.files, versions.page) == ("6.4.5", "6.4.5")
    assert versions.schema == versions.wanted_schema == "56657"
    assert set(fresh_lab.fingerprint(site, "staging").files) == {"wp-config.php"}
    assert fresh_lab.fingerprint(site, "staging").tables == {}


def test_a_site_holds_content_that_a_careless_tool_breaks(fresh_lab: Lab):
    fingerprint = fresh_lab.fingerprint("bakery", "production")

    counted = fresh_lab.sql(
        "bakery",
        "production",
        "SELECT COUNT(*) FROM wp_posts WHERE post_type = 'post' AND post_status = 'publish';"
        "SELECT COUNT(*) FROM wp_users; SELECT COUNT(*) FROM wp_postmeta WHERE meta_value "
        "LIKE 'a:2:{%http://127.0.0.1:%'",
    )

    assert counted == (("201",), ("21",), ("200",))
    assert "wp_lab_visits" in fingerprint.tables
    assert any("brûlée & friends" in name for name in fingerprint.files)


def test_ssh_lands_in_the_hosts_own_directory_with_its_own_tools(lab: Lab):
    said = ssh(
        lab, "lab-web2", 'echo ~; pwd; echo "$HOME"; command -v wp; command -v php; echo "$LABHOST"'
    )

    home = lab.facts["lab_web2_home"]
    assert said.split() == [home, home, home, f"{home}/bin/wp", f"{home}/bin/php", "web2"]


def test_an_unknown_host_key_is_refused(lab: Lab, tmp_path: Path):
    config = lab.facts["lab_ssh_config"]
    nobody = ["-o", f"UserKnownHostsFile={tmp_path / 'none'}"]

    done = subprocess.run(
        ["ssh", "-F", config, *nobody, "lab-web1", "true"], capture_output=True, check=False
    )

    assert done.returncode == 255


def test_updates_are_offered_by_the_local_source_and_can_be_withdrawn(fresh_lab: Lab):
    root = fresh_lab.facts["florist_production_root"]
    ask = f"cd {root} && wp core check-update --format=json --force-check"
    plugins = f"cd {root} && wp plugin list --format=json --fields=name,version,update_version"

    offered = json.loads(ssh(fresh_lab, "lab-web2", ask))
    listed = {one["name"]: one for one in json.loads(ssh(fresh_lab, "lab-web2", plugins))}
    fresh_lab.offer(core=())
    withdrawn = ssh(fresh_lab, "lab-web2", ask)

    assert [one["version"] for one in offered] == ["6.5.5"]
    assert offered[0]["package_url"].startswith(fresh_lab.facts["lab_source_url"])
    assert listed["lab-shop"]["update_version"] == "1.1.0"
    assert listed["akismet"]["version"] < listed["akismet"]["update_version"]
    assert "6.5.5" not in withdrawn


@pytest.mark.proof
def test_unmodified_wp_cli_updates_everything_and_reset_undoes_it(fresh_lab: Lab):
    before = fresh_lab.fingerprint("bakery", "production")
    environment = fresh_lab.environment("bakery", "production")
    ssh(
        fresh_lab,
        "lab-web1",
        f"cd {environment.root} && wp core update && wp core update-db && wp plugin update --all"
        " && touch .maintenance.left && touch ../switches/other && mkdir ~/.opsplay",
    )
    time.sleep(2.1)  # OPcache looks at a file again after 2 seconds

    updated = fresh_lab.version("bakery", "production")
    fresh_lab.reset("bakery")

    assert (updated.files, updated.page) == ("6.5.5", "6.5.5")
    assert updated.schema == updated.wanted_schema == "57155"
    assert fresh_lab.fingerprint("bakery", "production").difference(before) == ()
    assert fresh_lab.version("bakery", "production").page == "6.4.5"
    assert not (Path(fresh_lab.facts["lab_web1_home"]) / ".opsplay").exists()


def test_reset_undoes_a_change_that_keeps_size_and_time(fresh_lab: Lab):
    root = fresh_lab.environment("bakery", "production").root
    shop = root / "wp-content/plugins/lab-shop/lab-shop.php"
    before = shop.stat()
    shop.write_text(shop.read_text().replace("1.0.0", "9.9.9"))
    os.utime(shop, ns=(before.st_atime_ns, before.st_mtime_ns))

    fresh_lab.reset("bakery")

    assert "9.9.9" not in shop.read_text()


def test_reset_waits_for_requests_that_keep_old_code_in_the_cache(fresh_lab: Lab):
    busy = fresh_lab.environment("florist", "production")
    (busy.root / "slow.php").write_text("<?php sleep(3);")
    (busy.root / "forget.php").write_text("<?php var_dump(opcache_reset());")
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(fresh_lab.page, f"{busy.url}/slow.php")
        time.sleep(0.5)
        first, second = (fresh_lab.page(f"{busy.url}/forget.php")[1] for _ in range(2))
        fresh_lab.reset("bakery")

    assert (first.strip(), second.strip()) == ("bool(true)", "bool(false)")
    assert slow.result()[0] == 200


def test_a_deadly_plugin_dies_where_its_switch_is_on(fresh_lab: Lab):
    environment = fresh_lab.environment("florist", "production")
    fresh_lab.offer(plugins={"lab-shop": "1.3.0"})
    ssh(fresh_lab, "lab-web2", f"cd {environment.root} && wp plugin update lab-shop")
    time.sleep(2.1)

    lives = fresh_lab.page(f"{environment.url}/")
    fresh_lab.switch_fatal("florist", "production", on=True)
    dies = fresh_lab.page(f"{environment.url}/")
    fresh_lab.switch_fatal("florist", "production", on=False)
    lives_again = fresh_lab.page(f"{environment.url}/")

    assert 'content="1.3.0"' in lives[1]
    assert (lives[0], dies[0], lives_again[0]) == (200, 500, 200)
    assert "lab_shop_function_that_nobody_wrote" in environment.error_log.read_text()


def test_mail_ends_in_the_trap_of_its_environment(fresh_lab: Lab):
    environment = fresh_lab.environment("bakery", "production")

    ssh(
        fresh_lab,
        "lab-web1",
        f'cd {environment.root} && wp eval \'wp_mail("someone@bakery.example", "Hello", "x");\'',
    )

    (mail,) = environment.mail.iterdir()
    assert "Subject: Hello" in mail.read_text()


def test_an_unreachable_source_looks_like_up_to_date(fresh_lab: Lab):
    root = fresh_lab.facts["florist_production_root"]
    fresh_lab.stop_source()
    try:
        said = ssh(fresh_lab, "lab-web2", f"cd {root} && wp core check-update")
    finally:
        fresh_lab.start_source()

    assert "Success: WordPress is at the latest version." in said


def test_the_bucket_keeps_versions_and_reset_empties_it_even_when_locked(fresh_lab: Lab):
    s3 = storage.client(fresh_lab.places)
    bucket = fresh_lab.facts["lab_s3_bucket"]
    s3.put_object(Bucket=bucket, Key="v1/bakery/one", Body=b"first")
    s3.put_object(Bucket=bucket, Key="v1/bakery/one", Body=b"second")
    kept = s3.list_object_versions(Bucket=bucket)["Versions"]
    body = s3.get_object(Bucket=bucket, Key="v1/bakery/one")["Body"].read()
    s3.put_object(
        Bucket=bucket,
        Key="locked",
        Body=b"x",
        ObjectLockMode="COMPLIANCE",
        ObjectLockRetainUntilDate="2099-01-01T00:00:00Z",
    )

    fresh_lab.reset()

    left = storage.client(fresh_lab.places).list_object_versions(Bucket=bucket)
    assert (len(kept), body) == (2, b"second")
    assert left.get("Versions", []) == []


def test_the_writers_key_can_only_put(fresh_lab: Lab):
    import boto3
    from botocore.exceptions import ClientError

    facts = fresh_lab.facts
    keys = [
        Path(facts[f"lab_s3_writer_{one}_key_file"]).read_text() for one in ("access", "secret")
    ]
    writer = boto3.client(
        "s3",
        endpoint_url=facts["lab_s3_endpoint"],
        region_name=facts["lab_s3_region"],
        aws_access_key_id=keys[0],
        aws_secret_access_key=keys[1],
    )
    address = {"Bucket": facts["lab_s3_bucket"], "Key": "written"}
    writer.put_object(**address, Body=b"x")

    for forbidden in (writer.get_object, writer.delete_object):
        with pytest.raises(ClientError, match=r"AccessDenied|Forbidden"):
            forbidden(**address)


def test_a_lab_of_an_earlier_opsplay_gets_two_credentials_that_destroy_nothing(fresh_lab: Lab):
    facts = fresh_lab.facts
    names = ("daily_access", "daily_secret", "expiry_access", "expiry_secret")
    files = [Path(facts[f"lab_s3_{name}_key_file"]) for name in names]
    for file in files:
        file.unlink()

    Lab.up(fresh_lab.places.directory)

    keys = [Secret(file.name, lambda _reference, file=file: file.read_text()) for file in files]
    settings = VaultSettings(
        "lab", "s3", facts["lab_s3_endpoint"], bucket=facts["lab_s3_bucket"], lock="governance",
        access_key=keys[0], secret_key=keys[1], expiry_access_key=keys[2], expiry_secret_key=keys[3],
    )  # fmt: skip
    found = probe(settings, SystemClock()).found
    assert [one.name for one in found if one.kept is False] == []


def test_a_relay_counts_slows_and_cuts_the_line(lab: Lab):
    with lab.relay("web3") as relay:
        said = ssh(lab, "lab-web3-relay", "echo through")
        relay.delay = 0.02
        slow = ssh(lab, "lab-web3-relay", "echo slowly")
        relay.delay = 0.0
        relay.cut(1.0)
        with pytest.raises(subprocess.CalledProcessError):
            ssh(lab, "lab-web3-relay", "echo cut")
        time.sleep(1.2)
        again = ssh(lab, "lab-web3-relay", "echo again")

    assert (said, slow, again) == ("through\n", "slowly\n", "again\n")
    assert relay.traffic.connections == 3
    assert relay.traffic.refused >= 1
    assert min(relay.traffic.sent, relay.traffic.received) > 1000


def test_a_frozen_line_says_nothing_until_it_breaks(lab: Lab):
    with lab.relay("web3") as relay:
        config = lab.facts["lab_ssh_config"]
        words = ["ssh", "-F", config, "lab-web3-relay", "echo here; sleep 30"]
        with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as line:
            assert line.stdout is not None
            line.stdout.readline()
            began = time.monotonic()
            relay.cut(1.5, "freeze")
            line.wait(timeout=20)
            frozen = time.monotonic() - began

    assert line.returncode == 255
    assert frozen > 1.4


def test_a_relay_before_s3_can_refuse_with_503(lab: Lab):
    with lab.relay("s3") as relay:
        relay.failing = 1
        first = lab.page(lab.facts["lab_s3_relay_endpoint"])
        second = lab.page(lab.facts["lab_s3_relay_endpoint"])

    assert (first[0], second[0]) == (503, 403)


def test_up_twice_is_the_same_lab_and_starts_again_what_died(lab: Lab):
    before = {name: lab.processes.pid(name) for name in ("web", "source", "database")}
    os.kill(before["source"], 9)

    again = Lab.up(lab.places.directory)

    after = {name: again.processes.pid(name) for name in before}
    assert after.pop("source") not in {0, before.pop("source")}
    assert after == before
    assert Lab.status(lab.places.directory).up


def test_secrets_are_for_the_owner_only(lab: Lab):
    modes = {file.name: file.stat().st_mode & 0o777 for file in lab.places.secrets.iterdir()}

    assert set(modes.values()) == {0o600}
    assert {"age-identity", "s3-access-key", "s3-secret-key"} <= set(modes)


def test_a_directory_with_other_things_is_left_alone(tmp_path: Path):
    (tmp_path / "precious.txt").write_text("mine")

    with pytest.raises(LabBroken, match="no lab and not empty"):
        Lab.up(tmp_path)

    assert (tmp_path / "precious.txt").read_text() == "mine"


def test_a_directory_whose_name_breaks_configurations_is_refused(tmp_path: Path):
    with pytest.raises(LabBroken, match="without spaces"):
        Lab.up(tmp_path / "my lab")

    assert not (tmp_path / "my lab").exists()


def test_where_there_is_no_lab_status_is_empty_and_at_says_what_to_do(tmp_path: Path):
    status = Lab.status(tmp_path)

    assert (status.up, status.daemons, status.pages) == (False, {}, {})
    with pytest.raises(LabBroken) as refusal:
        Lab.at(tmp_path)
    assert refusal.value.next_command == "invoke lab.up"


@pytest.mark.proof
def test_a_lab_recovers_a_stale_one_survives_its_maker_and_leaves_no_process(lab_room: Path):
    place = lab_room / "other"

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "opsplay.lab", *words, "--dir", str(place)]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=170)

    place.mkdir()  # what a lab leaves behind that was killed while it was made
    (place / "lab.json").write_text('{"first_port": 20000}')
    (place / "pids.json").write_text('{"web": [1, 1]}')
    (place / "half-made").touch()

    up = command("up")
    second = Lab.at(place)
    version = second.version("florist", "production")
    with subprocess.Popen(
        ["ssh", "-F", second.facts["lab_ssh_config"], "lab-web1", "setsid sleep 300 & sleep 300"]
    ) as job:
        time.sleep(0.5)
        down = command("down")
        job.wait(timeout=20)
    status = command("status")
    left = marked_processes(place)

    assert (up.returncode, down.returncode, status.returncode) == (0, 0, 1)
    assert version.page == "6.4.5"
    assert not (place / "half-made").exists()
    assert left == []
