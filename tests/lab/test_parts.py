"""The lab's parts: fetched by the real package clients, trimmed, and refused clearly."""

from __future__ import annotations

import json
import os
import urllib.request
import zipfile
from pathlib import Path

import pytest

from opsplay.core.errors import LabBroken
from opsplay.lab import Lab, offers, packages, parts, sites
from opsplay.lab.__main__ import main
from opsplay.lab.commands import run
from opsplay.lab.offers import Offers

BASE = "http://127.0.0.1:20000"


def test_a_failing_program_is_reported_with_what_it_said():
    with pytest.raises(LabBroken, match="status 3: it went wrong"):
        run("sh", "-c", "echo it went wrong >&2; exit 3")


def test_a_program_that_is_not_there_is_reported():
    with pytest.raises(LabBroken, match="could not run no-such-program"):
        run("no-such-program")


@pytest.mark.real
def test_of_an_npm_package_only_the_wanted_part_is_unpacked(tmp_path: Path):
    package = tmp_path / "source"
    (package / "wanted").mkdir(parents=True)
    (package / "wanted" / "one.txt").write_text("1")
    (package / "other.txt").write_text("2")
    (package / "package.json").write_text(json.dumps({"name": "lab-part", "version": "1.0.0"}))

    got = packages.npm_archive(str(package), tmp_path / "into", ("wanted",))

    assert [file.name for file in got.rglob("*") if file.is_file()] == ["one.txt"]


@pytest.mark.real
def test_a_debian_package_is_unpacked_without_being_installed(tmp_path: Path):
    got = packages.debian_archive("age", tmp_path / "into")

    assert (got / "usr" / "bin" / "age").exists()


@pytest.mark.real
@pytest.mark.usefixtures("lab")
def test_nothing_is_missing_once_the_lab_has_been_up():
    said: list[str] = []

    packages.install(said.append)

    assert (packages.missing(), said) == ([], [])


def test_a_wordpress_archive_holds_one_theme_and_no_configuration(tmp_path: Path):
    core = tmp_path / "core"
    for name in ("wp-config.php", "wp-content/themes/twentytwentyfour/style.css",
                 "wp-content/themes/other/style.css", "wp-content/plugins/akismet/x.css",
                 "wp-content/plugins/hello.php", "wp-content/database/db"):  # fmt: skip
        (core / name).parent.mkdir(parents=True, exist_ok=True)
        (core / name).touch()
    (core / "wp-includes").mkdir()
    (core / "wp-includes" / "version.php").write_text("<?php $wp_version = '6.4.5';")
    made = parts.Parts(tmp_path)

    parts._zip_wordpress(made, core)

    with zipfile.ZipFile(made.wordpress("6.4.5")) as archive:
        assert sorted(archive.namelist()) == [
            "wordpress/wp-content/plugins/hello.php",
            "wordpress/wp-content/themes/twentytwentyfour/style.css",
            "wordpress/wp-includes/version.php",
        ]


def test_akismet_versions_are_ordered_by_number(tmp_path: Path):
    for version in ("5.10", "5.9"):
        (tmp_path / "akismet").mkdir(exist_ok=True)
        (tmp_path / "akismet" / "akismet.php").write_text(f"<?php\n/* Version: {version} */")
        parts._zip_akismet(parts.Parts(tmp_path), tmp_path / "akismet")

    assert parts.Parts(tmp_path).akismet_versions() == ("5.9", "5.10")


def test_a_site_without_newer_offers_is_told_that_it_has_the_latest():
    answer = offers.core_answer(Offers(core=("6.5.5",)), "6.5.5", BASE)

    assert [(one["response"], one["version"]) for one in answer["offers"]] == [("latest", "6.5.5")]


def test_newer_core_versions_are_offered_newest_first():
    answer = offers.core_answer(Offers(core=("6.4.5", "6.5.5", "7.1.1")), "6.4.5", BASE)

    assert [one["version"] for one in answer["offers"]] == ["7.1.1", "6.5.5"]
    assert answer["offers"][1]["packages"]["full"] == f"{BASE}/release/wordpress-6.5.5.zip"


def test_a_suffix_names_the_file_and_not_the_version():
    known = Offers(plugins={"lab-shop": "1.2.0-fatal"})

    answer = offers.plugins_answer(known, {"lab-shop/lab-shop.php": {"Version": "1.1.0"}}, BASE)
    told = offers.plugin_answer(known, "lab-shop", BASE)

    offer = answer["plugins"]["lab-shop/lab-shop.php"]
    assert (offer["new_version"], offer["package"]) == (
        "1.2.0",
        f"{BASE}/plugin/lab-shop-1.2.0-fatal.zip",
    )
    assert told is not None
    assert (told["version"], told["download_link"]) == ("1.2.0", offer["package"])
    assert offers.plugin_answer(known, "unknown", BASE) is None


@pytest.mark.real
def test_the_source_knows_checksums_and_archives_and_nothing_else(fresh_lab: Lab):
    lab = fresh_lab
    source = lab.facts["lab_source_url"]

    sums = json.loads(lab.page(f"{source}/core/checksums/1.0/?version=6.5.5")[1])["checksums"]
    none = json.loads(lab.page(f"{source}/core/checksums/1.0/?version=1.0")[1])["checksums"]
    information = lab.page(f"{source}/plugins/info/1.2/?request%5Bslug%5D=akismet")
    strange = [lab.page(f"{source}/{path}")[0] for path in ("x/1", "release/no.zip", "plugin/")]

    assert len(sums["wp-includes/version.php"]) == 32
    assert none is False
    assert (information[0], strange) == (200, [404, 404, 404])


@pytest.mark.real
def test_nothing_gets_out_through_the_hosts_proxy(lab: Lab):
    proxy = urllib.request.ProxyHandler({"https": lab.facts["lab_source_url"]})

    with pytest.raises(OSError, match="403"):
        urllib.request.build_opener(proxy).open("https://example.org/", timeout=10)


@pytest.mark.proof
@pytest.mark.real
def test_a_site_built_anew_has_the_same_content(
    fresh_lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shipped = fresh_lab.fingerprint("florist", "production")
    monkeypatch.setenv("OPSPLAY_LAB_CACHE", str(tmp_path))

    kept = sites.pristine(fresh_lab.places, fresh_lab.parts, "florist", lambda _text: None)
    sites.lay_out(fresh_lab.places, "florist", kept)

    built = fresh_lab.fingerprint("florist", "production")
    rows = {name: one.partition("/")[2] for name, one in shipped.tables.items()}
    assert built.files == shipped.files
    assert {name: one.partition("/")[2] for name, one in built.tables.items()} == rows


@pytest.mark.real
def test_the_command_line_says_what_runs(lab: Lab, capsys: pytest.CaptureFixture[str]):
    where = ["--dir", str(lab.places.directory)]

    statuses = [main([verb, *where]) for verb in ("up", "reset", "status")]

    assert statuses == [0, 0, 0]
    assert lab.facts["bakery_production_url"] in capsys.readouterr().out


def test_the_command_line_refuses_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    statuses = [main([verb, "--dir", str(tmp_path)]) for verb in ("reset", "status", "down")]

    assert statuses == [1, 1, 0]
    assert "try: invoke lab.up" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_plain_user_is_told_the_exact_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(LabBroken, match="packages are missing: nginx age") as refusal:
        packages.apt_install("nginx", "age")

    assert refusal.value.next_command == (
        "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends nginx age'"
    )
