"""The manifest is read strictly, and its text is always the same."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime

import pytest

from opsplay.core import snapshot as manifest
from opsplay.core.errors import UnreadableAnswer

SEGMENT = manifest.Segment("v1/shop/2026-11/db/x.age.00000", 10, "ab" * 32)
SNAPSHOT = manifest.Snapshot(
    site="shop",
    environment="production",
    snap="20261122T053107-3f9a1c",
    chain="2026-11",
    kind="full",
    run_id="20261122T053100-3f9a1c",
    tool_version="0.1.0",
    started_at=datetime(2026, 11, 22, 5, 31, 7, 250000, tzinfo=UTC),
    sealed_at=datetime(2026, 11, 22, 5, 32, tzinfo=UTC),
    host=manifest.HostFacts("web@host", "Linux", {"zstd": "1.5"}),
    cms=manifest.CmsFacts("wordpress", "https://shop.test"),
    source=manifest.Source("/srv/www/shop"),
    recipients=(manifest.Recipient("age1xyz"),),
    streams=(
        manifest.Stream(
            "database", "db", "zstd", 100, "cd" * 32, {"src": 0, "enc": 0}, True, (SEGMENT,)
        ),
    ),
    restore_order=("database",),
    previous_snap_sha256="",
)


def edited(**changes) -> bytes:
    data = json.loads(manifest.to_json(SNAPSHOT)) | changes
    return json.dumps(data).encode()


def test_a_manifest_survives_its_text():
    text = manifest.to_json(SNAPSHOT)

    assert manifest.from_json(text) == SNAPSHOT
    assert manifest.to_json(manifest.from_json(text)) == text


def test_the_text_has_one_value_a_line():
    lines = manifest.to_json(SNAPSHOT).decode().splitlines()

    assert sum('"sha256":' in line for line in lines) == 1
    assert not any(line.count('":') > 1 for line in lines)


def test_where_it_lies():
    assert SNAPSHOT.key == "v1/shop/2026-11/snap/20261122T053107-3f9a1c.json"


NEEDED = [
    one.name
    for one in dataclasses.fields(manifest.Snapshot)
    if one.name == "schema"
    or (one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING)
]


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_field_is_named(name: str):
    data = json.loads(manifest.to_json(SNAPSHOT))
    del data[name]

    with pytest.raises(UnreadableAnswer, match=name):
        manifest.from_json(json.dumps(data).encode())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"{", "not readable"),
        (b"[]", "schema None"),
        (edited(schema=2), "schema 2; this opsplay reads schema 1"),
        (edited(kind="half"), "kind: 'half'"),
        (edited(attempt="1"), "attempt: '1'"),
        (edited(attempt=True), "attempt: True"),
        (edited(started_at="soon"), "'soon' is not a time"),
        (edited(streams={}), "streams"),
        (edited(streams=[{}]), r"streams\[0\]: field `name`"),
        (edited(host=3), "host: 3"),
    ],
)
def test_what_is_wrong_is_named(text: bytes, says: str):
    with pytest.raises(UnreadableAnswer, match=says):
        manifest.from_json(text, "snap/x.json")


def test_a_manifest_of_the_first_version_is_read_with_what_it_lacks():
    data = json.loads(manifest.to_json(SNAPSHOT))
    for name in set(data) - set(NEEDED):
        del data[name]
    for segment in data["streams"][0]["segments"]:
        del segment["retain_until"], segment["md5"]

    assert manifest.from_json(json.dumps(data).encode()) == SNAPSHOT


def test_fields_of_later_versions_are_passed_over():
    assert manifest.from_json(edited(verified=[{"level": 4}])) == SNAPSHOT
