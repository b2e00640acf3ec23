"""The rehearsed bytes and no others, and updates that were begun and never finished."""

import hashlib
from pathlib import Path

import pytest
from tests.cms.installation import Installation

from opsplay.core.drivers import Offer

pytestmark = pytest.mark.real
ANOTHER = "0" * 64


def shop(site: Installation, *, sha256: str = "") -> str:
    fragment = f"#sha256={sha256}" if sha256 else ""
    package = f"{site.package('lab-shop-1.1.0')}{fragment}"
    return site.cms.update_module("lab-shop", "1.1.0", package)


def core(site: Installation) -> str:
    return site.cms.update_core("6.5.5", site.package("wordpress-6.5.5"))


def dies(script: str) -> str:
    """Return a script that dies right after its mark."""
    assert "    mark_begun\n" in script
    return script.replace("    mark_begun\n", "    mark_begun\n    exit 9\n")


def used(told: str) -> tuple[Path, str]:
    (line,) = [line for line in told.splitlines() if line.startswith("package ")]
    path, _, sha256 = line.removeprefix("package ").rpartition(" sha256 ")
    return Path(path), sha256


def unfinished(site: Installation) -> dict[str, Offer]:
    return dict(site.ask(site.cms.facts()).unfinished)


def test_what_was_rehearsed_is_told_and_used_on_another_host(bakery: Installation):
    bakery.must(bakery.cms.save_restore_point())
    path, sha256 = used(bakery.must(shop(bakery)))
    assert sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    bakery.must(bakery.cms.put_back_module("lab-shop"))
    path.unlink()  # as on a host that has never had it

    assert used(bakery.must(shop(bakery, sha256=sha256))) == (path, sha256)


def test_a_kept_package_that_is_another_is_fetched_again(bakery: Installation):
    bakery.must(bakery.cms.save_restore_point())
    path, sha256 = used(bakery.must(shop(bakery)))
    bakery.must(bakery.cms.put_back_module("lab-shop"))
    path.write_bytes(b"PK, but another one")

    bakery.must(shop(bakery, sha256=sha256))

    assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def test_bytes_that_were_not_rehearsed_change_nothing(bakery: Installation):
    before = bakery.fingerprint()

    answer = bakery.run(shop(bakery, sha256=ANOTHER))

    assert not answer.ok
    assert "the package is not the one that was rehearsed" in answer.stderr
    assert "nothing was changed" in answer.stderr
    assert before.difference(bakery.fingerprint()) == ()
    assert unfinished(bakery) == {}
    assert not list((bakery.home / ".opsplay/packages").glob("*.zip.*"))


def test_without_a_package_only_the_database_is_migrated(bakery: Installation):
    bakery.sql("UPDATE wp_options SET option_value = '55853' WHERE option_name = 'db_version'")
    bakery.run(dies(core(bakery)))
    before = bakery.fingerprint().files

    told = bakery.must(bakery.cms.update_core("6.4.5", ""))

    assert told.splitlines()[-1] == "WordPress 6.4.5, database schema 56657"
    assert bakery.fingerprint().files == before
    assert [*unfinished(bakery)] == ["core"]


@pytest.mark.proof
def test_an_update_that_died_is_unfinished_until_it_is_done(bakery: Installation):
    assert bakery.run(dies(core(bakery))).exit_status == 9
    assert bakery.run(dies(shop(bakery))).exit_status == 9
    theme = bakery.cms.update_module(
        "theme:twentytwentyfour", "9", bakery.package("lab-shop-1.1.0")
    )
    assert bakery.run(dies(theme)).exit_status == 9

    assert unfinished(bakery) == {
        "core": Offer("6.5.5", bakery.package("wordpress-6.5.5")),
        "module:lab-shop": Offer("1.1.0", bakery.package("lab-shop-1.1.0")),
        "module:theme:twentytwentyfour": Offer("9", bakery.package("lab-shop-1.1.0")),
    }
    bakery.must(core(bakery))
    bakery.must(shop(bakery))
    assert [*unfinished(bakery)] == ["module:theme:twentytwentyfour"]


@pytest.mark.proof
def test_what_is_put_back_is_no_longer_unfinished(bakery: Installation):
    bakery.must(bakery.cms.save_restore_point())
    bakery.run(dies(core(bakery)))
    bakery.run(dies(shop(bakery)))

    bakery.must(bakery.cms.put_back_core())
    assert [*unfinished(bakery)] == ["module:lab-shop"]
    bakery.must(bakery.cms.put_back_module("lab-shop"))
    assert unfinished(bakery) == {}
    bakery.run(dies(core(bakery)))
    bakery.must(bakery.cms.put_back())
    assert unfinished(bakery) == {}


def test_restored_files_are_no_longer_unfinished(bakery: Installation):
    files = bakery.raw(bakery.cms.pack_files())[1]
    bakery.run(dies(core(bakery)))

    bakery.must(bakery.cms.unpack_files(keep_configuration=True), files)

    assert unfinished(bakery) == {}
