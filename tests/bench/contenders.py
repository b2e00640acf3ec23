"""The tools that are compared: how each is set up at its best, and run."""

from __future__ import annotations

import configparser
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import environments, floor, playbooks
from tests.bench.hosts import PATH, Fleet, Host
from tests.bench.timing import Command

Say = Callable[[str], None]
BIN = Path(sys.executable).parent
REPOSITORY = Path(__file__).parents[2]


@dataclass(frozen=True)
class Contender:
    """A tool that does the twenty steps."""

    name: str
    prepare: Callable[[Path, Fleet, Sequence[Host], Say], Command]
    """(own empty directory, fleet, hosts, say) → what is run."""
    looks_only: bool = False
    """It can tell whether there is anything to do, but does nothing."""


def _opsplay(place: Path, fleet: Fleet, hosts: Sequence[Host], _say: Say) -> Command:
    playbooks.for_opsplay(place, fleet, hosts)
    words = (str(BIN / "opsplay"), "run", "playbooks/steps.yaml", "--yes")
    return Command(words, place, _environment(place))


def _floor(place: Path, fleet: Fleet, hosts: Sequence[Host], _say: Say) -> Command:
    floor.write(place / "hosts.json", fleet, hosts)
    words = (sys.executable, "-m", "tests.bench.floor", str(place / "hosts.json"))
    return Command(words, place, _environment(place) | {"PYTHONPATH": str(REPOSITORY)})


def _pyinfra(place: Path, fleet: Fleet, hosts: Sequence[Host], say: Say) -> Command:
    programs = environments.environment("pyinfra", say)
    playbooks.for_pyinfra(place, fleet, hosts)
    words = (str(programs / "pyinfra"), "-y", "inventory.py", "deploy.py")
    return Command(words, place, _environment(place))


def _ansible(place: Path, fleet: Fleet, hosts: Sequence[Host], say: Say) -> Command:
    programs = environments.environment("ansible", say)
    return _ansible_playbook(place, fleet, hosts, programs, {})


def _mitogen(place: Path, fleet: Fleet, hosts: Sequence[Host], say: Say) -> Command:
    programs = environments.environment("mitogen", say)
    plugins = environments.package_folder(programs, "ansible_mitogen") / "plugins/strategy"
    more = {"strategy": "mitogen_linear", "strategy_plugins": str(plugins)}
    return _ansible_playbook(place, fleet, hosts, programs, more)


CONTENDERS = {
    one.name: one
    for one in (
        Contender("opsplay", _opsplay),
        Contender("floor", _floor, looks_only=True),
        Contender("pyinfra", _pyinfra),
        Contender("mitogen", _mitogen),
        Contender("ansible", _ansible),
    )
}
"""By name, in the order in which a round goes through them."""


def _ansible_playbook(
    place: Path, fleet: Fleet, hosts: Sequence[Host], programs: Path, more: Mapping[str, str]
) -> Command:
    playbooks.for_ansible(place, fleet, hosts)
    # A control socket's name has to fit into 108 bytes, with what ssh puts behind it.
    sockets = tempfile.mkdtemp(prefix="bench-", dir=fleet.place)
    settings = configparser.RawConfigParser()
    settings["defaults"] = {
        "inventory": "hosts.yml",
        "forks": str(len(hosts)),
        "gathering": "explicit",
        "host_key_checking": "True",
        "interpreter_python": shutil.which("python3", path=PATH) or sys.executable,
        "local_tmp": str(place / "tmp"),
        **more,
    }
    settings["ssh_connection"] = {
        "pipelining": "True",
        "ssh_args": f"-F {fleet.ssh_config} -o ControlMaster=auto -o ControlPersist=60s",
        "control_path_dir": sockets,
    }
    with (place / "ansible.cfg").open("w") as file:
        settings.write(file)
    words = (str(programs / "ansible-playbook"), "site.yml")
    return Command(words, place, _environment(place) | {"ANSIBLE_CONFIG": "ansible.cfg"})


def _environment(place: Path) -> dict[str, str]:
    """Return a plain environment: nobody's own settings, agent or start-up files."""
    home = place / "home"
    home.mkdir()
    return {
        "HOME": str(home),
        "PATH": f"{PATH}{os.pathsep}{BIN}",
        "LANG": "C.UTF-8",
        "USER": os.environ.get("USER", "root"),
    }
