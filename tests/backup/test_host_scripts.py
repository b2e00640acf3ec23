"""The scripts that hosts get are plain sh and hold no bashisms."""

from __future__ import annotations

from tests.backup import plain_cms
from tests.backup.shell_check import complaints
from tests.backup.test_manifest import SNAPSHOT

from opsplay.core import snapshot as manifest
from opsplay.core.environment import Environment, Host
from opsplay.core.index import Entry
from opsplay.core.site import Site
from opsplay.core.vault import SignedPut
from opsplay.engine import restore_scripts
from opsplay.engine.restore_plan import Part, Plan
from opsplay.engine.store_dialogue import curl_config
from opsplay.engine.store_script import Saved, host_script

SITE = Site(
    "it's a shop",
    plain_cms.NAME,
    {"production": Environment("production", Host("local"), "/srv/it's here", "https://x.test")},
)


def test_the_backup_script_is_plain_sh():
    streams = (Saved("database", "exit 3", has_trailer=True), Saved("files", "tar -c .", False))
    script = host_script(streams, spool="it's", recipients=("age1x",), segment_bytes=65536)

    assert complaints(script) == ""


def test_the_restore_scripts_are_plain_sh():
    files = manifest.Stream("files-00", "files", "gzip", 1, "ab" * 32, {}, None, ())
    entry = Entry("it's \\n odd", "file", 0o644, 1, 0, 0, 1, "cd" * 32, "pack")
    parts = (
        Part("database", SNAPSHOT.streams[0], "database"),
        Part("files-0", files, "pack", (entry,)),
    )
    plan = Plan(SNAPSHOT, parts)
    scripts = [
        restore_scripts.look(SITE),
        restore_scripts.prepare(SITE, plan, "attempt"),
        *(restore_scripts.fetch(SITE, one, "attempt", "direct", in_order=True) for one in parts),
        restore_scripts.clean(SITE),
        restore_scripts.switch(SITE, plan, ""),
        restore_scripts.place(SITE, plan, door="", closed=True),
    ]

    assert [complaints(one) for one in scripts] == [""] * len(scripts)


def test_curl_gets_every_signed_header_but_the_length_which_it_writes_itself():
    signed = SignedPut("https://b/k?sig=1%2F", (("Content-Length", "5"), ("If-None-Match", "*")))

    lines = curl_config(signed).splitlines()
    assert 'url = "https://b/k?sig=1%2F"' in lines
    assert 'header = "If-None-Match: *"' in lines
    assert not any("Content-Length" in line for line in lines)
