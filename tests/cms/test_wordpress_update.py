"""Updates of a real WordPress by the real WP-CLI, and the ways in which they lie or die."""

# ruff: noqa: S608 - the SQL is ours

import os
import signal
import time
import zipfile

import pytest
from tests.cms.conftest import PASS, PASS_SHA256
from tests.cms.installation import Installation

pytestmark = pytest.mark.real


def update_core(site: Installation) -> str:
    return site.cms.update_core("6.5.5", site.package("wordpress-6.5.5"))


def update_shop(site: Installation, package: str) -> str:
    version = package.split("-", maxsplit=1)[0]
    return site.cms.update_module("lab-shop", version, site.package(f"lab-shop-{package}"))


def pretend(site: Installation, answer: str) -> None:
    """Put a WP-CLI in place that says `answer`, succeeds, and does nothing."""
    place = site.home / ".opsplay" / "wp-cli.phar"
    place.write_text(f"#!/bin/sh\necho '{answer}'\n")
    place.chmod(0o755)


def core_is_whole(site: Installation, version: str) -> bool:
    """Return whether every file of the package is there with the package's bytes."""
    with zipfile.ZipFile(site.lab.parts.wordpress(version)) as package:
        return all(
            (site.root / name.removeprefix("wordpress/")).read_bytes() == package.read(name)
            for name in package.namelist()
            if not name.endswith("/") and "/wp-content/" not in name
        )


def test_core_is_updated_behind_the_closed_door_and_served_at_once(bakery: Installation):
    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))
    bakery.page(X_Opsplay_Pass=PASS)  # OPcache knows the old code now

    told = bakery.must(update_core(bakery))

    assert told.splitlines()[-1] == "WordPress 6.5.5, database schema 57155"
    seen = bakery.lab.version("bakery", "production")
    assert (seen.files, seen.schema, seen.wanted_schema) == ("6.5.5", "57155", "57155")
    assert bakery.page()[0] == 503
    status, page = bakery.page(X_Opsplay_Pass=PASS, X_Opsplay_Reset="1")
    assert (status, 'content="WordPress 6.5.5"' in page) == (200, True)
    assert bakery.ask(bakery.cms.maintenance())

    bakery.lab.stop_source()
    again = bakery.must(update_core(bakery))
    assert "already at latest db version" in again.splitlines()[0]


@pytest.mark.proof
def test_a_core_update_that_was_killed_converges_when_it_is_run_again(bakery: Installation):
    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))
    running = bakery.start(update_core(bakery))
    unpacked = bakery.root / "wp-content/upgrade"
    deadline = time.monotonic() + 60
    while not (unpacked.exists() and any(unpacked.glob("*/wordpress/wp-includes"))):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(0.3)
    os.killpg(running.pid, signal.SIGKILL)
    running.communicate()
    assert not core_is_whole(bakery, "6.5.5")

    bakery.must(update_core(bakery))

    assert core_is_whole(bakery, "6.5.5")
    assert bakery.lab.version("bakery", "production").schema == "57155"
    assert bakery.ask(bakery.cms.maintenance())
    assert bakery.sql("SELECT 1 FROM wp_options WHERE option_name = 'core_updater.lock'") == ()


@pytest.mark.proof
def test_files_that_merely_say_the_version_are_not_believed_after_a_kill(bakery: Installation):
    bakery.must(update_core(bakery))
    broken = bakery.root / "wp-includes/post.php"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:1000])
    script = update_core(bakery)
    begun = script.replace("lay_package() {", "mark_begun\nexit 0\nlay_package() {")
    bakery.must(begun)

    bakery.must(script)

    assert broken.read_bytes() == whole


def test_somebody_elses_update_is_respected(bakery: Installation):
    bakery.sql(
        f"INSERT INTO wp_options VALUES (NULL,'core_updater.lock','{int(time.time())}','no')"
    )

    answer = bakery.run(update_core(bakery))

    assert not answer.ok
    assert "Another update is currently in progress" in answer.stdout + answer.stderr
    assert bakery.ask(bakery.cms.facts()).unfinished == {}
    assert bakery.lab.version("bakery", "production").files == "6.4.5"


def test_success_with_nothing_done_is_a_failure(bakery: Installation):
    pretend(bakery, "Success: WordPress updated successfully.")

    core = bakery.run(update_core(bakery))
    module = bakery.run(update_shop(bakery, "1.1.0"))

    assert not core.ok
    assert "its files say 6.4.5, not 6.5.5" in core.stderr
    assert not module.ok
    assert "its files say 1.0.0, not 1.1.0" in module.stderr


def test_a_package_that_cannot_be_had_changes_nothing(bakery: Installation):
    before = bakery.fingerprint()
    no_zip = f"{bakery.lab.facts['lab_source_url']}/core/version-check/1.7/"

    missing = bakery.run(bakery.cms.update_core("9.9", bakery.package("wordpress-9.9")))
    unpaid = bakery.run(bakery.cms.update_module("lab-shop", "1.1.0", ""))
    strange = bakery.run(bakery.cms.update_module("lab-shop", "1.1.0", no_zip))
    unknown = bakery.run(bakery.cms.update_module("no-such", "1.1.0", no_zip))

    for answer in (missing, unpaid, strange, unknown):
        assert not answer.ok
        assert "nothing was changed" in answer.stderr
    assert before.difference(bakery.fingerprint()) == ()


def test_a_plugin_update_lifts_maintenance_and_the_driver_puts_it_back(bakery: Installation):
    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))
    door = (bakery.root / ".maintenance").read_bytes()

    told = bakery.must(update_shop(bakery, "1.1.0"))

    assert "Disabling Maintenance mode" in told
    assert (bakery.root / ".maintenance").read_bytes() == door
    assert bakery.page()[0] == 503
    page = bakery.page(X_Opsplay_Pass=PASS, X_Opsplay_Reset="1")[1]
    assert '<meta name="lab-shop" content="1.1.0">' in page
    assert bakery.must(update_shop(bakery, "1.1.0")).strip() == "plugin lab-shop 1.1.0"


def test_a_plugin_that_kills_the_site_is_updated_truthfully_and_can_be_mended(bakery: Installation):
    bakery.must(bakery.cms.save_restore_point())

    told = bakery.must(update_shop(bakery, "1.2.0-fatal"))

    assert told.splitlines()[-1] == "plugin lab-shop 1.2.0"
    assert bakery.ask(bakery.cms.facts()).boot_error != ""
    bakery.must(bakery.cms.put_back_module("lab-shop"))
    seen = bakery.ask(bakery.cms.facts())
    assert seen.boot_error == ""
    assert {one.name: one.version for one in seen.modules}["lab-shop"] == "1.0.0"


def test_a_broken_plugin_does_not_stop_the_update_that_mends_it(bakery: Installation):
    shop = bakery.root / "wp-content/plugins/lab-shop/lab-shop.php"
    shop.write_text(f"{shop.read_text()}\nno_such_function_here();\n")

    bakery.must(update_shop(bakery, "1.1.0"))

    assert bakery.ask(bakery.cms.facts()).boot_error == ""


def test_wp_cli_dying_in_the_middle_of_a_module_update_is_a_failure_and_can_be_run_again(
    bakery: Installation,
):
    killer = bakery.root / "wp-content/mu-plugins/killer.php"
    killer.write_text(
        "<?php add_filter('upgrader_post_install', function () { no_such_function_here(); });"
    )

    answer = bakery.run(update_shop(bakery, "1.1.0"))

    assert not answer.ok
    assert "could not update plugin lab-shop" in answer.stderr
    killer.unlink()
    told = bakery.must(update_shop(bakery, "1.1.0"))
    assert "Installing plugin from uploaded file" in told or "Plugin updated" in told
    assert bakery.must(update_shop(bakery, "1.1.0")).strip() == "plugin lab-shop 1.1.0"
