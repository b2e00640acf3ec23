"""known_hosts and ssh_config are read as OpenSSH reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from opsplay.core.environment import Host
from opsplay.core.errors import InvalidInput
from opsplay.transports.known_hosts import Verdict, names_of, read
from opsplay.transports.ssh_config import config_for, known_hosts_files

KEY, OTHER = "QUFBQQ==", "QkJCQg=="


def verdict(tmp_path: Path, text: str, *names: str, key: str = KEY, kind: str = "ssh-ed25519"):
    (tmp_path / "known").write_text(text)
    return read([tmp_path / "known"]).judge(names, kind, key)[0]


@pytest.mark.parametrize(
    ("line", "name", "expected"),
    [
        (f"a.example ssh-ed25519 {KEY} a comment", "a.example", Verdict.KNOWN),
        (f"A.Example,b.example ssh-ed25519 {KEY}", "a.example", Verdict.KNOWN),
        (f"*.example ssh-ed25519 {KEY}", "a.example", Verdict.KNOWN),
        (f"*.example,!a.example ssh-ed25519 {KEY}", "a.example", Verdict.UNKNOWN),
        (f"?.example ssh-ed25519 {KEY}", "ab.example", Verdict.UNKNOWN),
        (f"[a.example]:22* ssh-ed25519 {KEY}", "[a.example]:2222", Verdict.KNOWN),
        (f"a.example ssh-ed25519 {OTHER}", "a.example", Verdict.CHANGED),
        (f"a.example ssh-rsa {OTHER}", "a.example", Verdict.CHANGED),
        (f"b.example ssh-ed25519 {KEY}", "a.example", Verdict.UNKNOWN),
        (f"@revoked * ssh-ed25519 {KEY}", "a.example", Verdict.REVOKED),
        (f"@revoked * ssh-ed25519 {OTHER}", "a.example", Verdict.UNKNOWN),
        (f"@cert-authority * ssh-ed25519 {KEY}", "a.example", Verdict.UNKNOWN),
        (f"# a.example ssh-ed25519 {KEY}", "a.example", Verdict.UNKNOWN),
        ("a.example ssh-ed25519 not-base64", "a.example", Verdict.UNKNOWN),
        ("a.example ssh-ed25519", "a.example", Verdict.UNKNOWN),
        (f"|1|broken|hash ssh-ed25519 {KEY}", "a.example", Verdict.UNKNOWN),
    ],
)
def test_a_line_says_what_openssh_reads_in_it(tmp_path, line, name, expected):
    assert verdict(tmp_path, line + "\n\n", name) is expected


def test_one_key_of_several_is_enough(tmp_path):
    text = f"a ssh-ed25519 {OTHER}\na ssh-ed25519 {KEY}\n"

    assert verdict(tmp_path, text, "a") is Verdict.KNOWN


def test_a_file_is_read_again_when_it_has_changed_and_need_not_exist(tmp_path):
    assert verdict(tmp_path, "", "a") is Verdict.UNKNOWN
    assert verdict(tmp_path, f"a ssh-ed25519 {KEY}\n", "a") is Verdict.KNOWN
    assert read([tmp_path / "nowhere"]).of("a") == []


def test_the_port_is_part_of_the_name_unless_it_is_22():
    assert names_of("A.example", 22) == ("a.example",)
    assert names_of("a.example", 2222) == ("[a.example]:2222", "a.example")
    assert names_of("a.example", 2222, "Alias") == ("alias",)


def test_includes_are_followed(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "shop.conf").write_text("Host shop\n  Port 2201\n")
    (tmp_path / "config").write_text(f"Include {tmp_path}/more/*.conf\nHost *\n  Port 2200\n")
    config = config_for(Host("shop", ssh_config=str(tmp_path / "config")))

    assert config.lookup("shop")["port"] == "2201"
    assert config.lookup("other")["port"] == "2200"


def test_an_include_of_itself_ends(tmp_path):
    (tmp_path / "config").write_text(f"Include {tmp_path}/config\nPort 2200\n")

    assert config_for(Host("x", ssh_config=str(tmp_path / "config"))).lookup("x")["port"] == "2200"


def test_a_config_that_cannot_be_parsed_is_an_error_of_the_inventory(tmp_path):
    (tmp_path / "config").write_text("nonsense\n")

    with pytest.raises(InvalidInput, match="config"):
        config_for(Host("x", ssh_config=str(tmp_path / "config")))


def test_known_hosts_files_are_those_of_the_options():
    assert known_hosts_files(
        {"userknownhostsfile": "none", "globalknownhostsfile": '"/a b" /c'}
    ) == (
        Path("/a b"),
        Path("/c"),
    )
    assert known_hosts_files({})[0] == Path.home() / ".ssh" / "known_hosts"
