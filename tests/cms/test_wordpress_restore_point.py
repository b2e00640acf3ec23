"""Going back without WordPress: whatever an update broke, code and database come back."""

import os

import pytest
from tests.cms.conftest import PASS_SHA256
from tests.cms.installation import Installation

pytestmark = pytest.mark.real


def ruin(site: Installation) -> None:
    """Do what a bad update does, and worse."""
    (site.root / "wp-includes/plugin.php").write_text("<?php broken(")
    (site.root / "wp-content/plugins/lab-shop/lab-shop.php").write_text("<?php no_such();")
    (site.root / "wp-admin/index.php").unlink()
    (site.root / "wp-content/plugins/new one").mkdir()
    (site.root / "wp-content/plugins/new one/new.php").write_text("<?php")
    (site.root / "wp-new.php").write_text("<?php")
    site.sql("CREATE TABLE wp_new (a int); DROP TABLE wp_lab_visits; DELETE FROM wp_posts")


def test_a_ruined_site_is_put_back_without_starting_wordpress(bakery: Installation):
    before = bakery.fingerprint()
    bakery.must(bakery.cms.close_to_visitors(PASS_SHA256))
    closed = bakery.fingerprint()
    bakery.must(bakery.cms.save_restore_point())
    bakery.must(bakery.cms.save_restore_point())
    ruin(bakery)
    picture = bakery.root / "wp-content/uploads/2026/01/sold-since.jpg"
    picture.write_text("a picture uploaded meanwhile")

    bakery.must(bakery.cms.put_back())
    bakery.must(bakery.cms.put_back())

    assert bakery.ask(bakery.cms.maintenance())
    assert picture.exists()
    picture.unlink()
    assert closed.difference(bakery.fingerprint()) == ()
    bakery.must(bakery.cms.open_to_visitors())
    assert before.difference(bakery.fingerprint()) == ()
    assert bakery.page()[0] == 200


def test_core_alone_and_one_plugin_alone_are_put_back(bakery: Installation):
    before = bakery.fingerprint()
    bakery.must(bakery.cms.save_restore_point())
    ruin(bakery)
    bakery.sql("DROP TABLE wp_new")

    bakery.must(bakery.cms.put_back_core())
    bakery.must(bakery.cms.put_back_module("lab-shop"))
    bakery.must(bakery.cms.put_back_module("new one"))

    assert before.files == bakery.fingerprint().files
    assert not (bakery.root / "wp-content/plugins/new one").exists()


def test_a_single_file_plugin_and_a_theme_are_put_back(bakery: Installation):
    before = bakery.fingerprint()
    bakery.must(bakery.cms.save_restore_point())
    (bakery.root / "wp-content/plugins/hello.php").write_text("<?php no_such();")
    (bakery.root / "wp-content/themes/twentytwentyfour/style.css").unlink()

    bakery.must(bakery.cms.put_back_module("hello"))
    bakery.must(bakery.cms.put_back_module("theme:twentytwentyfour"))

    assert before.difference(bakery.fingerprint()) == ()


def test_a_damaged_restore_point_is_refused_and_nothing_is_changed(bakery: Installation):
    bakery.must(bakery.cms.save_restore_point())
    saved = bakery.run_directory / "restore-point/code.tar"
    content = saved.read_bytes()
    saved.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    before = bakery.fingerprint()

    answers = [
        bakery.run(script)
        for script in (
            bakery.cms.put_back(),
            bakery.cms.put_back_core(),
            bakery.cms.put_back_module("x"),
        )
    ]

    for answer in answers:
        assert not answer.ok
        assert "its sums do not match; nothing was changed" in answer.stderr
    assert before.difference(bakery.fingerprint()) == ()


def test_a_restore_point_that_was_never_completed_is_made_anew(bakery: Installation):
    point = bakery.run_directory / "restore-point"
    point.mkdir()
    (point / "database.sql").write_text("half a dump")
    assert not bakery.run(bakery.cms.put_back()).ok

    bakery.must(bakery.cms.save_restore_point())

    assert (point / "complete").exists()
    assert (point / "database.sql").read_bytes() != b"half a dump"


def test_a_full_disk_is_an_error_and_leaves_no_restore_point(bakery: Installation):
    full = bakery.cms.save_restore_point().replace('>"$point/code.tar"', ">/dev/full")

    answer = bakery.run(full)

    assert not answer.ok
    assert "is the disk full?" in answer.stderr
    assert not (bakery.run_directory / "restore-point").exists()


def test_a_restore_point_that_is_interrupted_leaves_nothing(bakery: Installation):
    script = bakery.cms.save_restore_point()
    slow = script.replace('list_code "$media" >', 'kill -TERM $$; sleep 5; list_code "$media" >', 1)

    answer = bakery.run(slow)

    assert answer.exit_status == 143
    assert not (bakery.run_directory / "restore-point").exists()


def test_a_restore_point_that_would_fill_the_disk_is_not_begun(bakery: Installation):
    df = bakery.home / "bin/df"
    df.write_text("#!/bin/sh\necho Filesystem\necho /dev/sda1 9 9 20480 99% /\n")
    df.chmod(0o755)
    before = bakery.fingerprint()

    answer = bakery.run(bakery.cms.save_restore_point())

    df.unlink()
    assert not answer.ok
    assert "MiB, only 20 MiB are free" in answer.stderr
    assert "make room on this host; nothing was changed" in answer.stderr
    assert not (bakery.run_directory / "restore-point").exists()
    assert before.difference(bakery.fingerprint()) == ()


def test_uploads_need_no_room(bakery: Installation):
    large = bakery.root / "wp-content/uploads/large.mp4"
    with large.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 300_000_000)
    df = bakery.home / "bin/df"
    df.write_text("#!/bin/sh\necho Filesystem\necho /dev/sda1 9 9 204800 99% /\n")
    df.chmod(0o755)

    answer = bakery.run(bakery.cms.save_restore_point())

    df.unlink()
    large.unlink()
    assert answer.ok, answer.stderr


def test_a_restore_point_is_for_nobody_elses_eyes(bakery: Installation):
    bakery.must(f"umask 022\n{bakery.cms.save_restore_point()}")

    point = bakery.run_directory / "restore-point"
    assert point.stat().st_mode & 0o777 == 0o700
    assert {one.stat().st_mode & 0o777 for one in point.iterdir()} == {0o600}


def test_a_neighbour_in_the_same_database_or_below_the_root_is_left_alone(bakery: Installation):
    for table in ("options", "posts", "users"):
        bakery.sql(f"CREATE TABLE wp_shop_{table} LIKE wp_{table}")
        bakery.sql(f"CREATE TABLE wp2_{table} LIKE wp_{table}")
        bakery.sql(f"CREATE TABLE wpxshop_{table} LIKE wp_{table}")
    nested = bakery.root / "copy"
    nested.mkdir()
    (nested / "wp-settings.php").write_text("<?php // somebody else's")
    bakery.must(bakery.cms.save_restore_point())
    bakery.sql("INSERT INTO wp_shop_options VALUES (NULL,'theirs','1','no'); DROP TABLE wp2_posts")
    (nested / "index.php").write_text("<?php // newer")
    ruin(bakery)

    bakery.must(bakery.cms.put_back())

    assert bakery.sql("SELECT option_name FROM wp_shop_options") == (("theirs",),)
    assert bakery.sql("SHOW TABLES LIKE 'wp2_posts'") == ()
    assert bakery.sql("SHOW TABLES LIKE 'wp_new'") == ()
    assert (nested / "index.php").exists()
    dump = bakery.must(bakery.cms.dump_database())
    assert "`wp_posts`" in dump
    assert "wp_shop_" not in dump
    assert "wpxshop_" not in dump
