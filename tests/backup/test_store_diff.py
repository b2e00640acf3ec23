"""What changed is found, what did not is never stored twice, and index and packs are the tree."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsplay.core import index
from opsplay.core.errors import UnreadableAnswer
from opsplay.core.index import Entry
from opsplay.engine.store_diff import (
    EMPTY_SHA256,
    UNSETTLED,
    compare,
    moved_meanwhile,
    settle,
    unsettled,
)
from opsplay.engine.store_packs import extension, is_compressed, packs
from opsplay.engine.store_same import Same


def file(path: str, content: str = "content", **changes) -> Entry:
    entry = Entry(path, "file", 0o644, len(content), 10, 20, 30, sha(content), "pack-1")
    return replace(entry, **changes)


def sha(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def seen(entry: Entry, **changes) -> Entry:
    """Return an entry as a survey tells it: without hash and pack."""
    return replace(entry, sha256="", pack="", **changes)


def by_path(*entries: Entry) -> dict[str, Entry]:
    return {entry.path: entry for entry in entries}


def test_a_file_that_looks_the_same_is_taken_over_unread():
    old = file("a")
    found = compare([seen(old)], by_path(old))

    assert found.kept == (old,)
    assert (found.to_hash, found.to_pack, found.removed) == ((), (), ())


@pytest.mark.parametrize(
    "change", [{"size": 8}, {"mtime": 11}, {"ctime": 21}, {"inode": 31}, {"mode": 0o600}]
)
def test_a_file_that_looks_different_is_hashed(change):
    old = file("a")

    assert compare([seen(old, **change)], by_path(old)).to_hash == (seen(old, **change),)


def test_a_touched_file_keeps_its_pack_and_has_not_changed():
    old, now = file("a"), seen(file("a"), mtime=99, ctime=99)
    changes = settle(compare([now], by_path(old)), {"a": old.sha256}, by_path(old))

    assert changes.kept == (replace(old, mtime=99, ctime=99),)
    assert (changes.to_pack, changes.changed) == ((), ())


@pytest.mark.parametrize(
    ("change", "content"), [({"mtime": 11}, "other"), ({"mode": 0o600, "ctime": 21}, "content")]
)
def test_new_content_or_a_new_mode_is_packed(change, content: str):
    old, now = file("a"), seen(file("a"), **change)
    changes = settle(compare([now], by_path(old)), {"a": sha(content)}, by_path(old))

    assert changes.to_pack == (replace(now, sha256=sha(content)),)
    assert (changes.added, changes.changed) == ((), ("a",))


def test_a_file_that_was_changing_when_it_was_packed_is_packed_again():
    old = file("a", sha256="")  # what is in its pack is not known
    changes = settle(compare([seen(old)], by_path(old)), {"a": sha("content")}, by_path(old))

    assert [entry.path for entry in changes.to_pack] == ["a"]


def test_a_file_that_cannot_be_read_is_listed_and_not_packed():
    changes = settle(compare([seen(file("a"))], {}), {}, {})

    assert changes.to_pack == ()
    assert changes.unread == (seen(file("a")),)
    assert changes.added == ("a",)


def test_an_empty_file_needs_no_reading():
    now = seen(file("a", ""))

    assert compare([now], {}).to_pack == (replace(now, sha256=EMPTY_SHA256),)


def test_directories_and_links_are_packed_when_mode_or_target_differ():
    folder = Entry("d", "dir", 0o755, 0, 1, 1, 1, pack="p")
    link = Entry("l", "link", 0o777, 0, 1, 1, 1, pack="p", target="a")
    same = [replace(folder, pack="", mtime=9, inode=9), replace(link, pack="", mtime=9)]
    other = [replace(folder, pack="", mode=0o700), replace(link, pack="", target="b")]

    kept = compare(same, by_path(folder, link))
    assert [entry.pack for entry in kept.kept] == ["p", "p"]
    assert compare(other, by_path(folder, link)).to_pack == tuple(other)


def test_what_is_no_file_any_more_is_packed_as_what_it_is_now():
    old, now = file("a"), Entry("a", "link", 0o777, 0, 1, 1, 1, target="b")

    assert compare([now], by_path(old)).to_pack == (now,)


def test_sockets_are_listed_only():
    now = Entry("s", "other", 0o644, 0, 1, 1, 1)

    assert compare([now], {}).kept == (now,)


def test_what_is_gone_is_told():
    assert compare([], by_path(file("a"), file("b"))).removed == ("a", "b")


def test_what_changes_while_it_is_packed_is_told():
    entries = [file("a"), file("b"), file("c"), Entry("d", "dir", 0o755, 0, 1, 1, 1)]
    later = by_path(seen(file("a")), seen(file("b"), mtime=77), replace(entries[3], mtime=5))

    assert moved_meanwhile(entries, later) == (("b",), ("c",))


def test_a_file_of_the_last_second_is_looked_at_again_next_time():
    old, new = file("old"), file("new", ctime=500)
    entries = unsettled([old, new], 400)

    assert entries == (old, replace(new, ctime=UNSETTLED))
    assert compare([seen(new)], by_path(*entries)).to_hash == (seen(new),)


# The index

BYTES = st.one_of(
    st.binary(min_size=1, max_size=9), st.text("a\\\n\t é", min_size=1).map(str.encode)
)
NAMES = BYTES.filter(lambda name: b"\0" not in name).map(os.fsdecode)
TIMES = st.integers(0, 2**62)
ENTRIES = st.builds(
    Entry,
    path=NAMES,
    kind=st.sampled_from(["file", "dir", "link", "other"]),
    mode=st.integers(0, 0o7777),
    size=st.integers(0, 2**50),
    mtime=TIMES,
    ctime=TIMES,
    inode=st.integers(0, 2**40),
    sha256=st.sampled_from(["", sha("x")]),
    pack=st.sampled_from(["", "20261122T053107-3f9a1c-00-1.tar.zst.age"]),
    target=st.one_of(st.just(""), NAMES),
)
LISTS = st.lists(ENTRIES, unique_by=lambda entry: entry.path, max_size=8)


def in_order(entries) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.path)


@given(LISTS, LISTS)
def test_an_index_survives_its_text_and_lines_of_the_last_one_are_as_good_as_entries(some, others):
    new = [entry for entry in some if entry.path not in {one.path for one in others}]
    last = index.Index(index.to_text(others))
    listed = index.Listed(tuple(new), last.lines)

    assert list(index.from_text(listed.text)) == in_order([*new, *others])
    assert dict(last) == {entry.path: entry for entry in others}
    assert len(listed) == len(new) + len(others)
    assert listed.bytes == sum(entry.size for entry in [*new, *others])
    assert listed.packs == {entry.pack for entry in [*new, *others]} - {""}
    assert last.files == {entry.path for entry in others if entry.kind == "file"}


@pytest.mark.parametrize(
    "text",
    [b"", b"#opsplay-index 1\n#end 1\n", b"#opsplay-index 1\nfile\n#end 1\n", b"#end 0\n"],
)
def test_half_an_index_is_none(text: bytes):
    with pytest.raises(UnreadableAnswer):
        index.Index(text)
    with pytest.raises(UnreadableAnswer):
        index.from_text(text)


def found_by_find(entry: Entry) -> bytes:
    """What GNU find says of a file."""
    times = (f"{one // 10**9}.{one % 10**9:09d}0" for one in (entry.mtime, entry.ctime))
    said = f"f {entry.mode:o} {entry.size} {' '.join(times)} {entry.inode} ./{entry.path}"
    return said.encode("utf-8", "surrogateescape")


@given(LISTS, st.integers(0, 3))
def test_only_a_file_that_looks_exactly_as_it_did_is_passed_over(entries, change: int):
    same = Same(index.Index(index.to_text(entries)))
    recent = [
        entry
        for entry in entries
        if entry.kind == "file" and entry.sha256 and entry.pack
        if min(entry.mtime, entry.ctime) >= 10**9
    ]

    assert all(same(found_by_find(entry), b"") for entry in recent)
    assert same.paths == [entry.path for entry in recent]
    now = {"size": 1} if change == 0 else {["mtime", "ctime", "inode"][change - 1]: 1}
    for entry in entries:
        moved = replace(entry, **{name: getattr(entry, name) + by for name, by in now.items()})
        assert not same(found_by_find(moved), b"")


# Packs


def test_neighbours_travel_together_and_pictures_apart():
    entries = [file("b/2.php"), file("a/1.php"), file("a/z.jpg"), file("b/1.php"), file("a/2.php")]
    found = packs(entries)

    assert [[entry.path for entry in pack.entries] for pack in found] == [
        ["a/1.php", "a/2.php", "b/1.php", "b/2.php"],
        ["a/z.jpg"],
    ]
    assert [pack.compress for pack in found] == [True, False]
    assert [pack.name for pack in found] == ["files-00", "files-01"]


def test_a_huge_file_is_a_pack_of_its_own():
    entries = [file("a/1"), file("a/huge.sql", size=10_000), file("a/film.mp4", size=10_000)]
    found = packs(entries, 5000)

    assert [[entry.path for entry in pack.entries] for pack in found] == [
        ["a/1"],
        ["a/film.mp4"],
        ["a/huge.sql"],
    ]
    assert [pack.compress for pack in found] == [True, False, True]


def test_a_directory_is_not_divided_if_it_fits_into_a_pack():
    entries = [file(f"{folder}/{n}", size=1000) for folder in "abc" for n in range(3)]
    found = packs(entries, 3 * 1536 + 2000)

    folders = [{entry.path[0] for entry in pack.entries} for pack in found]
    assert folders == [{"a"}, {"b"}, {"c"}]


@pytest.mark.parametrize(
    ("path", "ending"),
    [("a.b/c", ""), ("x.tar.GZ", "gz"), (".htaccess", "htaccess"), ("a/b.php", "php")],
)
def test_extensions(path: str, ending: str):
    assert extension(path) == ending


def test_a_directory_called_like_a_picture_is_none():
    assert not is_compressed(Entry("album.jpg", "dir", 0o755, 0, 1, 1, 1))


PATHS = st.lists(
    st.sampled_from(["a", "b", "Crème", "we\nird", "t\tab", "back\\slash", "x.jpg", "-rf"]),
    min_size=1,
    max_size=3,
).map("/".join)
SIZES = st.one_of(st.integers(0, 3000), st.integers(0, 40_000))


@given(st.dictionaries(PATHS, SIZES, max_size=40), st.integers(2000, 20_000))
def test_packs_hold_each_entry_once_and_are_no_larger_than_meant(sizes, target: int):
    entries = [file(path, size=size) for path, size in sizes.items()]
    found = packs(entries, target)

    packed = [entry for pack in found for entry in pack.entries]
    assert sorted(packed, key=lambda entry: entry.path) == sorted(
        entries, key=lambda entry: entry.path
    )
    assert all(pack.bytes <= target or len(pack.entries) == 1 for pack in found)
    assert all(len({is_compressed(entry) for entry in pack.entries}) == 1 for pack in found)
    assert [pack.number for pack in found] == list(range(len(found)))
    assert packs(list(reversed(entries)), target) == found


# Any history of a site


@dataclass
class Tree:
    """A site's files without a disk: path → kind, mode, content; times that move as real ones."""

    held: dict[str, tuple[str, int, str]] = field(default_factory=dict)
    looks: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    clock: int = 0

    def touch(self, path: str) -> None:
        self.clock += 1
        self.looks[path] = (self.clock, self.clock, len(path))

    def put(self, path: str, kind: str, mode: int, content: str) -> None:
        self.held[path] = (kind, mode, content)
        self.touch(path)

    def move(self) -> None:
        """Move the site to another host: content is the same, every inode and ctime is new."""
        self.clock += 1
        self.looks = {
            path: (mtime, self.clock, inode + 1000 * self.clock)
            for path, (mtime, _, inode) in self.looks.items()
        }

    def survey(self) -> list[Entry]:
        return [
            Entry(
                path=path,
                kind=kind,
                mode=mode,
                size=len(content) if kind == "file" else 0,
                mtime=self.looks[path][0],
                ctime=self.looks[path][1],
                inode=self.looks[path][2],
                target=content if kind == "link" else "",
            )
            for path, (kind, mode, content) in self.held.items()
        ]


@dataclass
class Vault:
    """Packs and indexes, as text where the real ones are."""

    packs: dict[str, dict[str, tuple[str, int, str]]] = field(default_factory=dict)
    text: bytes = index.to_text([])

    def back_up(self, tree: Tree, number: int) -> int:
        """Take a snapshot; return how many entries were packed."""
        last = by_path(*index.from_text(self.text))
        comparison = compare(tree.survey(), last)
        sums = {one.path: sha(tree.held[one.path][2]) for one in comparison.to_hash}
        changes = settle(comparison, sums, last)
        rows = list(changes.kept)
        for pack in packs(changes.to_pack, 4096):
            name = f"{number}-{pack.name}"
            self.packs[name] = {entry.path: tree.held[entry.path] for entry in pack.entries}
            rows += [replace(entry, pack=name) for entry in pack.entries]
        self.text = index.to_text(rows)
        return len(changes.to_pack)

    def restored(self) -> dict[str, tuple[str, int, str]]:
        return {
            entry.path: self.packs[entry.pack][entry.path] for entry in index.from_text(self.text)
        }


WRITE = st.tuples(
    st.just("put"),
    PATHS,
    st.sampled_from(["file", "dir", "link"]),
    st.sampled_from([0o644, 0o600]),
    st.sampled_from(["", "x", "y", "longer", "z" * 3000]),
)
OTHERS = st.one_of(
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("touch"), PATHS),
    st.tuples(st.just("move")),
    st.tuples(st.just("back up")),
)


@settings(deadline=None)
@given(st.lists(st.one_of(WRITE, OTHERS), max_size=30))
def test_whatever_happened_index_and_packs_are_the_tree(steps):
    tree, vault = Tree(), Vault()
    for number, (what, *words) in enumerate(steps):
        match what:
            case "put":
                tree.put(*words)
            case "remove":
                tree.held.pop(words[0], None)
            case "touch" if words[0] in tree.held:
                tree.touch(words[0])
            case "move":
                tree.move()
            case "back up":
                vault.back_up(tree, number)
    vault.back_up(tree, len(steps))

    assert vault.restored() == tree.held
    tree.move()
    assert vault.back_up(tree, len(steps) + 1) == 0
    assert vault.restored() == tree.held
