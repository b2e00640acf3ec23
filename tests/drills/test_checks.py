"""What is missing from a restored site is named, and what merely moved on is not called missing."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from opsplay.core.drivers import Facts
from opsplay.core.index import Entry
from opsplay.core.snapshot import CmsFacts, Consistency, HostFacts, Snapshot, Source
from opsplay.engine.drill_certificate import parts_of
from opsplay.engine.drill_checks import checks_of, files_check, tables_check
from opsplay.engine.drill_seen import Seen
from opsplay.engine.pages import Sight
from opsplay.engine.watermarks import over_the_dump

AT = datetime(2026, 11, 22, 5, 31, tzinfo=UTC)
MARKS = {"rows:wp_posts": "14", "rows:wp_options": "3..5", "last_order_id": "4711", "last_order_at": "2026-11-22T05:00:00Z"}  # fmt: skip
SNAPSHOT = Snapshot(
    "bakery", "production", "20261122T053100-3f9a1c", "2026-11", "full", "r", "0.1.0", AT, AT,
    HostFacts("web1", "Linux", {}), CmsFacts("wordpress", "https://bakery.example", "6.5.5"),
    Source("/srv"), (), (), (), "", consistency=Consistency(AT, AT, watermarks=MARKS),
)  # fmt: skip
INDEX = (
    Entry("a.php", "file", 0o644, 3, 0, 0, 0, "aa", "pack"),
    Entry("wp-config.php", "file", 0o600, 3, 0, 0, 0, "cc", "pack"),
    Entry("dir", "dir", 0o755, 0, 0, 0, 0),
    Entry("socket", "other", 0o600, 0, 0, 0, 0),
)
GOOD = Seen(
    sums={"a.php": "aa", "wp-config.php": "cc", "opsplay-closed.php": "zz"},
    marks={"rows:wp_posts": "14", "rows:wp_options": "4", "last_order_id": "4711"},
    safe=True,
    facts=Facts("6.5.5", "57155", "57155", (), ()),
    sights=(Sight("/", "http://x/", status=200),),
)


def wrong(seen: Seen) -> list[str]:
    checks = checks_of(SNAPSHOT, INDEX, seen)
    return [str(one) for check in checks if not check.good for one in check.wrong or (check.told,)]


def test_a_site_that_came_back_whole_has_nothing_wrong():
    assert wrong(GOOD) == []


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (replace(GOOD, sums={"wp-config.php": "cc"}), "a.php is missing"),
        (replace(GOOD, sums=GOOD.sums | {"a.php": "bb"}), "a.php is not what was saved"),
        (
            replace(GOOD, marks=GOOD.marks | {"rows:wp_posts": "12"}),
            "table wp_posts has 12 of 14 rows",
        ),
        (
            replace(GOOD, marks=GOOD.marks | {"rows:wp_options": "6"}),
            "table wp_options has 6 of 3..5 rows",
        ),
        (
            replace(GOOD, marks={"rows:wp_posts": "14", "last_order_id": "4711"}),
            "table wp_options is missing (3..5 rows)",
        ),
        (
            replace(GOOD, marks=GOOD.marks | {"last_order_id": "4709"}),
            "order 4711 of 2026-11-22T05:00:00Z is missing (the last one is 4709)",
        ),
        (replace(GOOD, safe=False), "the restored site is no safe copy: it may send mail"),
        (replace(GOOD, complaints=("/ answers 500",)), "page / answers 500"),
        (
            replace(GOOD, facts=replace(GOOD.facts, version="6.4.5")),
            "version 6.4.5 in place of 6.5.5",
        ),
        (
            replace(GOOD, facts=replace(GOOD.facts, database_version="1")),
            "database schema 1 in place of 57155",
        ),
        (
            replace(GOOD, facts=replace(GOOD.facts, boot_error="no mysqli")),
            "the CMS does not start: no mysqli",
        ),
        (
            replace(GOOD, facts=None, errors={"facts": "silence"}),
            "could not be looked at: silence",
        ),
    ],
)
def test_each_thing_that_is_wrong_is_named(seen, said):
    assert wrong(seen) == [said]


def test_what_the_backup_could_not_read_is_no_part_of_what_is_proved():
    index = (*INDEX, Entry("private.key", "file", 0o600, 3, 0, 0, 0))

    (said,) = files_check(index, GOOD).wrong

    assert str(said) == "private.key could not be read when it was to be saved: it is in no backup"


def test_what_changed_or_vanished_while_it_was_saved_is_no_fault_of_the_backup():
    seen = replace(GOOD, sums={"a.php": "bb"})
    busy = Consistency(AT, AT, changing=("a.php",), vanished=("wp-config.php",))

    assert files_check(INDEX, seen, saved=busy).good
    assert not files_check(INDEX, seen, saved=replace(busy, changing=())).good
    assert not files_check(INDEX, replace(seen, sums={}), saved=busy).good


def test_what_was_never_reached_proves_nothing():
    assert len(wrong(Seen())) == len(checks_of(SNAPSHOT, INDEX, Seen()))


def test_a_place_may_keep_its_own_configuration():
    seen = replace(GOOD, sums={"a.php": "aa", "wp-config.php": "other"})

    assert not files_check(INDEX, seen).good
    assert files_check(INDEX, seen, frozenset({"wp-config.php"})).good


def test_very_many_missing_files_are_counted_rather_than_listed():
    index = [Entry(f"{one}.jpg", "file", 0o644, 3, 0, 0, 0, "aa", "p") for one in range(500)]

    check = files_check(index, replace(GOOD, sums={}))

    assert len(check.wrong) == 51
    assert str(check.wrong[-1]) == "and 450 more like these"


def test_a_backup_without_an_index_or_counts_says_what_it_could_not_compare():
    assert "as a whole" in str(files_check(None, GOOD).told)
    assert "counted no rows" in str(tables_check({}, GOOD).told)
    assert not tables_check({}, Seen(marks={})).good


def test_tables_that_visitors_write_to_meanwhile_may_have_either_number():
    before = {"rows:log": "3", "rows:posts": "2", "last_post_id": "9"}

    marks = over_the_dump(before, {"rows:log": "7", "rows:posts": "2", "last_post_id": "12"})

    assert marks == {"rows:log": "3..7", "rows:posts": "2", "last_post_id": "9"}
    assert over_the_dump(before, {}) == before


def test_looking_does_not_count_as_time_of_the_restore():
    times = {"files": 100.0, "files-checked": 130.0, "database": 150.0, "database-checked": 151.0}

    parts = dict(parts_of(Seen(times=times), begun=0.0, restored=90.0, answered=92.0))

    assert parts == {
        "files, and making it safe": 39.0,
        "database": 20.0,
        "first good page": 2.0,
        "looking": 31.0,
    }
