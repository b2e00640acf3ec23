"""The door of a real WordPress: who gets in, and for how long it stays closed."""

import os
import shutil
import time

import pytest
from tests.cms.conftest import PASS, PASS_SHA256
from tests.cms.installation import Installation

pytestmark = pytest.mark.real


def test_visitors_are_kept_out_and_whoever_has_the_pass_gets_in(bakery: Installation):
    bakery.page()
    before = bakery.fingerprint()

    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))
    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))

    assert bakery.ask(bakery.cms.maintenance())
    assert bakery.page()[0] == 503
    assert bakery.page(X_Opsplay_Pass="wrong")[0] == 503
    assert bakery.page("/about/", X_Opsplay_Pass=PASS)[0] == 200
    assert PASS not in (bakery.root / ".maintenance").read_text()
    assert bakery.must(f"wp --path={bakery.root} option get home").strip() == bakery.place.url

    bakery.must(bakery.cms.open_to_visitors())
    bakery.must(bakery.cms.open_to_visitors())

    assert not bakery.ask(bakery.cms.maintenance())
    assert bakery.page()[0] == 200
    assert before.files == bakery.fingerprint().files


def test_the_door_is_still_closed_after_ten_minutes(bakery: Installation):
    long_ago = time.time() - 3600
    maintenance = bakery.root / ".maintenance"
    maintenance.write_text(f"<?php $upgrading = {int(long_ago)}; ?>")
    os.utime(maintenance, (long_ago, long_ago))
    assert bakery.page()[0] == 200  # WordPress's own has expired
    assert not bakery.ask(bakery.cms.maintenance())

    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))
    for file in (maintenance, bakery.root / "wp-content/mu-plugins/opsplay-closed.php"):
        os.utime(file, (long_ago, long_ago))
    time.sleep(2.1)  # OPcache looks at files every two seconds

    assert bakery.page()[0] == 503
    assert bakery.ask(bakery.cms.maintenance())


def test_visitors_stay_out_while_wordpress_has_deleted_its_maintenance_file(bakery: Installation):
    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))
    (bakery.root / ".maintenance").unlink()

    for path in ("/", "/?rest_route=/wp/v2/posts", "/wp-login.php"):
        status, page = bakery.page(path)
        assert (status, "scheduled maintenance" in page) == (503, True)
    assert bakery.page(X_Opsplay_Pass=PASS)[0] == 200
    assert bakery.ask(bakery.cms.maintenance())


def test_new_code_is_served_at_once_when_the_pass_asks_for_it(bakery: Installation):
    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))
    shop = bakery.root / "wp-content/plugins/lab-shop/lab-shop.php"
    assert 'content="1.0.0"' in bakery.page(X_Opsplay_Pass=PASS)[1]
    before = shop.stat()
    shop.write_text(shop.read_text().replace("1.0.0", "9.9.9"))
    os.utime(shop, (before.st_atime, before.st_mtime))  # OPcache cannot see that it changed

    old = bakery.page(X_Opsplay_Pass=PASS)[1]
    new = bakery.page(X_Opsplay_Pass=PASS, X_Opsplay_Reset="1")[1]

    # The request that empties the cache may itself have begun with old code; the next has not.
    newest = bakery.page(X_Opsplay_Pass=PASS)[1]
    assert 'content="1.0.0"' in old
    assert 'content="9.9.9"' in newest
    assert new


def test_a_door_that_cannot_be_closed_says_so(bakery: Installation):
    (bakery.root / ".maintenance.opsplay").mkdir()

    answer = bakery.run(bakery.cms.close_to_visitors(PASS_SHA256))

    assert not answer.ok
    assert "visitors could not be kept out" in answer.stderr


def test_the_web_server_may_read_what_is_written_whatever_the_umask(bakery: Installation):
    shutil.rmtree(bakery.root / "wp-content/mu-plugins")

    bakery.must(f"umask 077\n{bakery.cms.close_to_visitors(PASS_SHA256)}")
    (bakery.root / ".maintenance").unlink()
    module = bakery.cms.update_module("lab-shop", "1.1.0", bakery.package("lab-shop-1.1.0"))
    bakery.must(f"umask 077\n{module}")

    door = bakery.root / "wp-content/mu-plugins/opsplay-closed.php"
    plugin = bakery.root / "wp-content/plugins/lab-shop"
    for file in (bakery.root / ".maintenance", door, plugin / "lab-shop.php"):
        assert file.stat().st_mode & 0o444 == 0o444, file
    for directory in (door.parent, plugin):
        assert directory.stat().st_mode & 0o555 == 0o555, directory


def test_unpacked_files_and_laid_core_files_keep_sane_modes(bakery: Installation):
    def modes() -> dict[str, int]:
        return {
            str(path.relative_to(bakery.root)): path.lstat().st_mode
            for path in (bakery.root, *bakery.root.rglob("*"))
        }

    before = modes()
    archive = bakery.raw(bakery.cms.pack_files())[1]
    bakery.must(f"umask 077\n{bakery.cms.unpack_files()}", archive)
    assert modes() == before

    update = bakery.cms.update_core("6.5.5", bakery.package("wordpress-6.5.5"))
    laid = update.replace("    mark_begun\n", "    lay_package\n    exit 9\n")
    assert bakery.run(f"umask 077\n{laid}").exit_status == 9
    assert all(mode & 0o444 == 0o444 for path, mode in modes().items() if path not in before)
