"""The hosts: one real sshd each, with its own keys, login directory and tools.

A host is a directory. Its sshd gives every login `HOME`, `PATH` and working directory of that
host; the wrapper is needed because sshd itself would start in the account's own home.
"""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

from opsplay.kit.shell import quote
from opsplay.lab.commands import run
from opsplay.lab.listening import greets
from opsplay.lab.places import HOSTS, Places
from opsplay.lab.processes import MARK, Daemon

_KEPT = ("bin", "sites", "tmp")
_SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def build(places: Places, phar: Path) -> None:
    """Make keys, ssh_config, known_hosts and the login directories."""
    places.ssh.mkdir(mode=0o700, exist_ok=True)
    _key(places.ssh / "id_ed25519", "lab client")
    for host in HOSTS:
        _build_host(places, host, phar)
    (places.ssh / "config").write_text("\n".join(_aliases(places)))
    (places.ssh / "known_hosts").write_text("".join(_known(places, host) for host in HOSTS))


def daemons(places: Places) -> list[Daemon]:
    """Return the sshd of each host."""
    if os.geteuid() == 0:  # Debian's sshd wants it, and nothing makes it where no systemd runs
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    sshd = shutil.which("sshd", path=_SYSTEM_PATH) or "/usr/sbin/sshd"
    return [_daemon(places, host, sshd) for host in HOSTS]


def _daemon(places: Places, host: str, sshd: str) -> Daemon:
    name = f"ssh-{host}"
    words = (sshd, "-D", "-e", "-f", str(places.ssh / host / "sshd_config"))
    return Daemon(name, words, lambda: greets(places.port(name), b"SSH-"))


def environment(places: Places, host: str) -> dict[str, str]:
    """Return the environment variables of a login on the host.

    The proxy answers nothing but "no": WP-CLI's own requests can never leave the machine.
    """
    home = places.home(host)
    return {
        "HOME": str(home),
        "PATH": f"{home / 'bin'}:{_SYSTEM_PATH}",
        "LANG": "C.UTF-8",
        "TMPDIR": str(home / "tmp"),
        "LABHOST": host,
        "https_proxy": places.source_url,
        "no_proxy": "127.0.0.1,localhost",
        MARK: str(places.directory),
    }


def clear(places: Places, host: str) -> None:
    """Remove what tools and tests left in the login directory."""
    home = places.home(host)
    for left in home.iterdir():
        if left.name not in _KEPT:
            shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    shutil.rmtree(home / "tmp", ignore_errors=True)
    (home / "tmp").mkdir()


def _build_host(places: Places, host: str, phar: Path) -> None:
    own = places.ssh / host
    own.mkdir(mode=0o700, exist_ok=True)
    _key(own / "host_key", host)
    shutil.copy(places.ssh / "id_ed25519.pub", own / "authorized_keys")
    _script(own / "login", _LOGIN)
    (own / "sshd_config").write_text(_sshd_config(places, host))
    tools = places.home(host) / "bin"
    for place in (tools, tools.parent / "tmp"):
        place.mkdir(parents=True, exist_ok=True)
    php = shutil.which("php") or "/usr/bin/php"
    mail = quote(str(tools / "sendmail"))
    _script(tools / "sendmail", _SENDMAIL)
    _script(tools / "php", f'#!/bin/sh\nexec {php} -d sendmail_path={mail} "$@"\n')
    _script(tools / "wp", _WP.format(php=quote(str(tools / "php")), phar=quote(str(phar))))


def _sshd_config(places: Places, host: str) -> str:
    own = places.ssh / host
    variables = " ".join(f'"{name}={value}"' for name, value in environment(places, host).items())
    return f"""ListenAddress 127.0.0.1:{places.port(f"ssh-{host}")}
HostKey {own / "host_key"}
AuthorizedKeysFile {own / "authorized_keys"}
PidFile none
UsePAM no
UseDNS no
StrictModes no
PrintMotd no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxStartups 100
MaxSessions 100
Subsystem sftp /usr/lib/openssh/sftp-server
SetEnv {variables}
ForceCommand {own / "login"}
"""


def _aliases(places: Places) -> list[str]:
    user = pwd.getpwuid(os.geteuid()).pw_name
    common = f"""  HostName 127.0.0.1
  User {user}
  IdentityFile {places.ssh / "id_ed25519"}
  IdentitiesOnly yes
  UserKnownHostsFile {places.ssh / "known_hosts"}
  GlobalKnownHostsFile /dev/null
  StrictHostKeyChecking yes
"""
    return [
        f"Host lab-{host}{way}\n  Port {places.port(f'ssh-{host}{way}')}\n{common}"
        for host in HOSTS
        for way in ("", "-relay")
    ]


def _known(places: Places, host: str) -> str:
    kind, key = (places.ssh / host / "host_key.pub").read_text().split()[:2]
    ports = (places.port(f"ssh-{host}"), places.port(f"ssh-{host}-relay"))
    return "".join(f"[127.0.0.1]:{port} {kind} {key}\n" for port in ports)


def _key(path: Path, comment: str) -> None:
    if not path.exists():
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path)


def _script(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


_LOGIN = """#!/bin/sh
cd "$HOME" || exit 255
if [ -n "$SSH_ORIGINAL_COMMAND" ]; then exec sh -c "$SSH_ORIGINAL_COMMAND"; fi
exec sh -l
"""

_SENDMAIL = """#!/bin/sh
# Keeps each mail as a file; LAB_MAIL is set by the site's must-use plugin.
trap_dir=${LAB_MAIL:-$HOME/mail}
mkdir -p "$trap_dir"
exec cat > "$trap_dir/$(date +%s%N)-$$.eml"
"""

_WP = """#!/bin/sh
export WP_CLI_ALLOW_ROOT=1 WP_CLI_DISABLE_AUTO_CHECK_UPDATE=1
exec {php} {phar} "$@"
"""
