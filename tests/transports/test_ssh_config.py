"""Our reader of ssh_config says what paramiko's says, and does not grow slow with the file."""

from __future__ import annotations

import getpass

from hypothesis import given, settings
from hypothesis import strategies as st
from paramiko import SSHConfig

from opsplay.transports.ssh_config import _Blocks

NAMES = ["h1", "h2", "web.example", "h"]
PATTERNS = st.sampled_from([*NAMES, "h*", "*", "h?", "!h1", "[ah]1", "web.*", "*.example"])
BLOCKS = st.one_of(
    st.lists(PATTERNS, min_size=1, max_size=3).map(lambda words: f"Host {' '.join(words)}"),
    st.sampled_from(["Match all", "Match host h1", "Match originalhost h*", "Match user nobody",
                     "Match final host h2", f"Match localuser {getpass.getuser()}"]),
)  # fmt: skip
OPTIONS = st.sampled_from(["Port 2222", "User a", "User b", "HostName 10.0.0.1", "IdentityFile ~/k",
                           "IdentityFile ~/x", "ProxyJump j"])  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(BLOCKS, st.lists(OPTIONS, max_size=3)), max_size=6))
def test_every_host_gets_what_paramiko_would_say(blocks):
    text = "\n".join("\n".join([head, *options]) for head, options in blocks)
    theirs, ours = SSHConfig.from_text(text), _Blocks.from_text(text)

    for name in NAMES:
        assert dict(ours.lookup(name)) == dict(theirs.lookup(name))


def test_a_file_of_many_hosts_asks_who_we_are_for_the_variables_only(monkeypatch):
    asked, real = [], getpass.getuser
    monkeypatch.setattr(getpass, "getuser", lambda: asked.append(1) or real())

    def asked_for(count):
        config = _Blocks.from_text("".join(f"Host h{n}\n  User a\n" for n in range(count)))
        asked.clear()
        config.lookup("h1")
        return len(asked)

    assert asked_for(300) == asked_for(3)
