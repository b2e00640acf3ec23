"""A staging copy of a real WordPress: complete, harmless, and never over production."""

# ruff: noqa: S608 - the SQL is ours

import json

import pytest
from tests.cms.installation import Installation

from opsplay.cms.wordpress import WordPress
from opsplay.core.environment import Environment, Host

pytestmark = pytest.mark.real


def copy(source: Installation, target: Installation) -> None:
    status, files, error = source.raw(source.cms.pack_files())
    assert status == 0, error
    status, dump, error = source.raw(source.cms.dump_database())
    assert status == 0, error
    target.must(target.cms.unpack_files(keep_configuration=True), files)
    target.must(target.cms.load_database(), dump)


def php(site: Installation, code: str) -> str:
    """Run PHP inside WordPress without its plugins."""
    script = f"wp --path={site.root} --skip-plugins --skip-themes eval-file -"
    return site.must(script, f"<?php {code}".encode())


@pytest.mark.proof
def test_a_copy_of_a_site_with_a_fatal_plugin_is_complete_and_harmless(
    bakery: Installation, staging: Installation
):
    shop = bakery.root / "wp-content/plugins/lab-shop/lab-shop.php"
    whole = shop.read_text()
    shop.write_text(f"{whole}\nno_such_function_here();\n")
    (bakery.root / "robots.txt").write_text("User-agent: *\nAllow: /\n")
    configuration = (staging.root / "wp-config.php").read_text()
    before = bakery.fingerprint()

    copy(bakery, staging)
    staging.must(staging.cms.make_clone_safe(bakery.place.url))

    assert before.difference(bakery.fingerprint()) == ()
    assert staging.ask(staging.cms.clone_marks())
    assert not bakery.ask(bakery.cms.clone_marks())
    kept = [line for line in configuration.splitlines() if "DB_" in line]
    assert all(line in (staging.root / "wp-config.php").read_text() for line in kept)
    _is_rewritten(bakery, staging)
    _is_harmless(staging)

    first = staging.fingerprint()
    staging.must(staging.cms.make_clone_safe(bakery.place.url))
    assert first.difference(staging.fingerprint()) == ()

    (staging.root / "wp-content/plugins/lab-shop/lab-shop.php").write_text(whole)
    assert staging.page("/product-7/")[0] == 200


def _is_rewritten(bakery: Installation, staging: Installation) -> None:
    old, new = bakery.place.url, staging.place.url
    settings = json.loads(php(staging, "echo json_encode(get_option('lab_shop_settings'));"))
    assert settings["home"] == f"{new}/"
    assert settings["nested"]["note"] == f"It's ünïcode: {new}"
    basket = json.loads(php(staging, "echo get_option('lab_shop_json');"))
    assert basket == {"basket": f"{new}/basket/"}
    assert staging.sql(f"SELECT COUNT(*) FROM wp_lab_visits WHERE page LIKE '{new}/%'") == (
        ("50",),
    )
    dump = staging.must(staging.cms.dump_database())
    in_guids = sum(
        int(n) for (n,) in staging.sql(f"SELECT COUNT(*) FROM wp_posts WHERE guid LIKE '{old}%'")
    )
    assert dump.count(old) == in_guids
    assert old.replace("/", "\\\\/") not in dump


def _is_harmless(staging: Installation) -> None:
    asked = (
        "var_export(wp_mail('a@example.test', 's', 'm')); var_export(get_option('blog_public'));"
    )
    assert php(staging, asked).endswith("false'0'")
    assert php(staging, "echo wp_get_environment_type();").endswith("staging")
    assert not list(staging.place.mail.glob("*"))
    assert (staging.root / "robots.txt").read_text() == "User-agent: *\nDisallow: /\n"
    due = "wp_schedule_single_event(time() - 9, 'bill'); echo count(wp_get_ready_cron_jobs());"
    assert php(staging, due).endswith("0")
    php(staging, "wp_clear_scheduled_hook('bill');")


@pytest.mark.proof
def test_an_address_that_begins_with_productions_is_not_doubled(
    bakery: Installation, staging: Installation
):
    copy(bakery, staging)
    url = f"{bakery.place.url}/staging"
    below = WordPress(Environment("staging", Host("local"), str(staging.root), url))

    staging.must(below.make_clone_safe(bakery.place.url))
    staging.must(below.make_clone_safe(bakery.place.url))

    dump = staging.must(below.dump_database())
    assert f"{url}/about/" in dump
    assert "/staging/staging" not in dump
    assert "opsplay.invalid" not in dump
    assert php(staging, "echo get_option('lab_shop_settings')['home'];").endswith(f"{url}/")


def test_a_copy_never_lands_in_the_database_it_comes_from(
    bakery: Installation, staging: Installation
):
    dump = bakery.must(bakery.cms.dump_database()).encode()
    (staging.root / "wp-config.php").write_bytes((bakery.root / "wp-config.php").read_bytes())
    before = bakery.fingerprint()

    answer = staging.run(staging.cms.load_database(), dump)

    assert not answer.ok
    assert "names the database of production: nothing was changed" in answer.stderr
    assert before.difference(bakery.fingerprint()) == ()


def test_a_dump_that_ends_early_or_is_not_ours_is_refused(
    bakery: Installation, staging: Installation
):
    dump = bakery.must(bakery.cms.dump_database()).encode()

    early = staging.run(staging.cms.load_database(), dump[: dump.rindex(b"INSERT INTO")])
    foreign = staging.run(staging.cms.load_database(), dump.partition(b"\n")[2])
    prefixed = dump.replace(b"prefix=wp_", b"prefix=shop_", 1)
    other = staging.run(staging.cms.load_database(), prefixed)
    nothing = staging.run(staging.cms.load_database())

    assert [early.ok, foreign.ok, other.ok, nothing.ok] == [False] * 4
    assert "ended early" in early.stderr
    assert "not a dump made by opsplay: nothing was changed" in foreign.stderr
    assert "has table prefix shop_" in other.stderr
    assert "no dump arrived" in nothing.stderr


def test_a_database_that_dies_while_it_is_dumped_fails_the_dump(bakery: Installation):
    bakery.sql("CREATE VIEW wp_broken AS SELECT ID FROM wp_posts; DROP TABLE wp_posts")

    answer = bakery.run(bakery.cms.dump_database())

    assert not answer.ok
    assert "could not be dumped" in answer.stderr


def test_unpacking_replaces_the_root_and_refuses_what_is_no_wordpress(
    bakery: Installation, staging: Installation
):
    status, files, _ = bakery.raw(bakery.cms.pack_files(["wp-content/uploads/2026/01/*.png"]))
    assert status == 0
    (staging.root / "left-over.php").write_text("<?php")
    before = staging.fingerprint()

    for stream in (b"", files[: len(files) // 2], b"no archive at all"):
        refused = staging.run(staging.cms.unpack_files(keep_configuration=True), stream)
        assert not refused.ok
        assert before.difference(staging.fingerprint()) == ()

    staging.must(staging.cms.unpack_files(keep_configuration=True), files)
    assert not (staging.root / "left-over.php").exists()
    assert not list((staging.root / "wp-content/uploads").rglob("*.png"))
    assert list((staging.root / "wp-content/uploads").rglob("Crème*.jpg"))
    assert not list(staging.root.parent.glob("*opsplay*"))

    (staging.root / "wp-config.php").unlink()
    answer = staging.run(staging.cms.unpack_files(keep_configuration=True), files)
    assert "there is no wp-config.php" in answer.stderr


def test_a_deleted_root_is_unpacked_anew(bakery: Installation):
    before = bakery.fingerprint()
    status, files, _ = bakery.raw(bakery.cms.pack_files())
    assert status == 0
    bakery.must(f"rm -rf {bakery.root}")

    bakery.must(bakery.cms.unpack_files(), files)

    assert before.difference(bakery.fingerprint()) == ()
