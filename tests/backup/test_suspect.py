"""A backup that looks like damage is kept, marked, loud, and never built upon."""

from __future__ import annotations

import os
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.backup.conftest import Bench
from tests.backup.test_incremental import FILES, own, take
from tests.backup.test_store_diff import by_path, file, seen, sha
from tests.backup.vault_reading import in_memory, on_disk, rebuilt

from opsplay.core.index import Entry
from opsplay.core.snapshot import Stream
from opsplay.engine.store_act import facts, told
from opsplay.engine.store_diff import Changes, compare, settle
from opsplay.engine.store_packs import Pack
from opsplay.engine.store_suspect import (
    FEW,
    Budget,
    budget_reasons,
    code_changed,
    packing_reasons,
)
from opsplay.engine.trust import Trust, find

TEXTS = [f"posts/{n:03d}.html" for n in range(100)]


def site(names=TEXTS, content: str = "content") -> dict[str, Entry]:
    return by_path(*(file(name, content) for name in names))


def changes(before: dict[str, Entry], after: dict[str, str]) -> Changes:
    """Return what became of a site; `after`: path → content. What is in both looks new."""
    now = [seen(file(path, content, ctime=99)) for path, content in after.items()]
    sums = {path: sha(content) for path, content in after.items()}
    return settle(compare(now, before), sums, before)


def reasons(before: dict[str, Entry], after: dict[str, str], **more) -> tuple[str, ...]:
    return budget_reasons(Budget(before, changes(before, after), **more))


def same(names=TEXTS) -> dict[str, str]:
    return dict.fromkeys(names, "content")


def test_everyday_work_is_not_suspect():
    after = same() | dict.fromkeys(TEXTS[:30], "edited") | {"new.html": "new"}
    del after[TEXTS[99]]

    assert reasons(site(), after) == ()
    assert reasons({}, same()) == ()


def test_more_than_three_files_in_ten_changed():
    after = same() | dict.fromkeys(TEXTS[:31], "edited")

    assert reasons(site(), after) == (
        "31 of 100 files changed since the last backup (31%, over 30%)",
    )


def test_more_than_two_files_in_ten_removed():
    assert reasons(site(), same(TEXTS[:80])) == ()
    assert reasons(site(), same(TEXTS[:79])) == (
        "21 of 100 files were removed since the last backup (21%, over 20%)",
    )


def test_a_wiped_site_of_a_few_files():
    assert reasons(site(["a", "b"]), {"index.html": "hacked"}) == (
        "all 2 files of the last backup are gone",
    )


def test_few_files_prove_nothing():
    few = TEXTS[: FEW - 1]

    assert reasons(site(few), dict.fromkeys(few, "edited")) == ()


def test_an_update_changes_much_code_and_no_pictures():
    code = [f"wp-includes/{n}.php" for n in range(100)]
    pictures = [f"uploads/{n}.jpg" for n in range(100)]
    before = site(code + pictures)
    updated = same(code + pictures) | dict.fromkeys(code, "newer")

    assert len(reasons(before, updated)) == 1
    assert reasons(before, updated, same_version=False) == ()
    spoilt = updated | dict.fromkeys(pictures, "encrypted")
    assert len(reasons(before, spoilt, same_version=False)) == 1


def test_an_update_changes_styles_words_and_drawings_too():
    assets = [f"core/{n}.{kind}" for n in range(40) for kind in ("css", "json", "svg", "mo", "txt")]
    pictures = [f"uploads/{n}.jpg" for n in range(100)]
    updated = same(assets + pictures) | dict.fromkeys(assets, "newer")

    assert reasons(site(assets + pictures), updated, same_version=False) == ()


@pytest.mark.parametrize("rename", ["{}.locked", "{stem}.locked"])
def test_files_that_are_all_renamed_to_one_unknown_ending(rename: str):
    after = {rename.format(name, stem=name.removesuffix(".html")): "x" for name in TEXTS}

    found = reasons(site(), after)
    assert "100 files were renamed to .locked, which the site never had" in found


def test_new_files_of_a_new_kind_are_no_renaming():
    after = same() | {f"uploads/{n}.avif": "x" for n in range(100)}

    assert reasons(site(), after) == ()


def test_changed_and_new_code_is_named():
    before = site(["index.php", "style.css", "old.php"])
    after = {"index.php": "evil", "style.css": "edited", "uploads/x.PHTML": "shell"}

    found = code_changed(changes(before, {**after, "old.php": "content"}))
    assert found == ("index.php", "uploads/x.PHTML")


def stream(compression: str, raw: int, stored: int) -> Stream:
    from opsplay.core.snapshot import Segment

    segments = (Segment("k/p.00000", stored, "ab" * 32),)
    codes = MappingProxyType({"src": 0})
    return Stream("files-00", "files", compression, raw, "cd" * 32, codes, None, segments)


@pytest.mark.parametrize(
    ("stored", "compression", "suspect"),
    [(99_000, "zstd", True), (30_000, "zstd", False), (99_000, "none", False)],
)
def test_texts_that_no_longer_compress(stored: int, compression: str, *, suspect: bool):
    before = by_path(*(file(name, "x" * 1000) for name in TEXTS))
    found = changes(before, dict.fromkeys(TEXTS, "y" * 1000))
    packed = [(Pack(0, found.to_pack, compress=True), stream(compression, 100_000, stored))]

    assert bool(packing_reasons(packed, found)) is suspect


@given(st.sets(st.sampled_from(TEXTS), max_size=20), st.sets(st.sampled_from(TEXTS), max_size=20))
def test_what_stays_within_the_budget_is_never_suspect(edited, removed):
    after = same() | dict.fromkeys(edited, "edited")
    for name in removed:
        del after[name]

    assert reasons(site(), after) == ()


# On a real site


@pytest.fixture
def bench(bench: Bench) -> Bench:
    return in_memory(bench)


@pytest.fixture
def full_of_texts(bench: Bench) -> Bench:
    (bench.root / "posts").mkdir()
    for name in TEXTS:
        (bench.root / name).write_text(f"<p>{name}</p> " * 100)
    return bench


def encrypt(bench: Bench) -> None:
    for name in TEXTS:
        path = bench.root / name
        path.write_bytes(os.urandom(path.stat().st_size))


@pytest.mark.real
def test_ransomware_is_noticed_and_the_backup_before_it_stays_the_base(full_of_texts: Bench):
    bench = full_of_texts
    first = take(bench)
    before = on_disk(bench.root)
    encrypt(bench)
    bad = take(bench)
    worse = take(bench)
    anybody = Trust((), bench.clock.now())
    assert find(bench.vault, bench.site.name, "last", anybody) == first
    assert find(bench.vault, bench.site.name, bad.snap, anybody) == bad
    bench.restore(first, include=["files"])
    good = take(bench)

    sentence = told(bad)
    assert sentence.startswith(f"WARNING: production of {bench.site.name} looks damaged: 100 of")
    assert "`full: true`" in sentence
    assert facts(bad)["suspect"] == list(bad.suspect)
    changed, incompressible = bad.suspect
    assert changed.startswith("100 of 109 files changed")
    assert incompressible.startswith("100 changed files no longer compress")
    assert rebuilt(bench, bad) == on_disk_of(bad, bench)
    assert [worse.base, bool(worse.suspect)] == [(first.snap,), True]
    assert [good.base, good.suspect, own(good)] == [(first.snap,), (), []]
    assert on_disk(bench.root) == before


def on_disk_of(snapshot, bench: Bench):
    """What a suspect backup holds is all there, should it have been work after all."""
    held = rebuilt(bench, snapshot)
    assert len(held) == snapshot.index.files
    return held


@pytest.mark.real
@pytest.mark.proof
def test_a_wiped_site_is_noticed(bench: Bench):
    take(bench)
    for path in bench.root.iterdir():
        if path.is_file() or path.is_symlink():
            path.unlink()
    (bench.root / "a" / "b" / ".hidden").unlink()
    (bench.root / "index.html").write_text("hacked")
    bad = take(bench)

    assert bad.suspect == ("all 9 files of the last backup are gone",)


@pytest.mark.real
@pytest.mark.proof
def test_the_first_backup_of_a_month_is_compared_with_the_month_before(full_of_texts: Bench):
    bench = full_of_texts
    first = take(bench)
    encrypt(bench)
    bench.clock.sleep(20 * 24 * 3600)
    december = take(bench)

    assert (first.chain, december.chain, december.kind) == ("2026-11", "2026-12", "full")
    assert len(december.suspect) == 2


@pytest.mark.real
@pytest.mark.proof
def test_a_person_says_that_all_is_well_by_a_full_backup(full_of_texts: Bench):
    bench = full_of_texts
    take(bench)
    encrypt(bench)
    take(bench)
    said = take(bench, store=replace(FILES, full=True))
    after = take(bench)

    assert (said.kind, said.suspect) == ("full", ())
    assert (after.base, after.suspect) == ((said.snap,), ())
