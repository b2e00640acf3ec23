"""The twenty steps, written for each tool as its own users would write them.

opsplay: 14 `file`, 6 `command` with `unless`. Ansible: 8 `copy`, 6 `template`, 3 `file`,
2 `lineinfile`, 1 `command` with `creates`. pyinfra: 8 `files.put`, 6 `files.template`,
2 `files.directory`, 1 `files.link`, 2 `files.line`, 1 `server.shell` after a look.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from tests.bench import job
from tests.bench.hosts import Fleet, Host


def for_opsplay(place: Path, fleet: Fleet, hosts: Sequence[Host]) -> None:
    """Write an ops repository: a playbook, and an inventory with one site on each host."""
    (place / "inventory").mkdir()
    (place / "playbooks").mkdir()
    stage = {"name": "Steps", "steps": list(_opsplay_steps())}
    _yaml(place / "playbooks/steps.yaml", {"name": "Twenty steps", "stages": [stage]})
    sites = {
        host.name: {
            "cms": "wordpress",  # an inventory has to name one; files and commands do not ask it
            "environments": {
                "production": {
                    "host": host.address,
                    "root": str(host.root),
                    "url": f"https://{host.name}.example",
                }
            },
        }
        for host in hosts
    }
    settings = {"client": "Bench", "ssh": {"config": str(fleet.ssh_config)}, "sites": sites}
    _yaml(place / "inventory/bench.yaml", settings)


def _opsplay_steps() -> Iterator[dict[str, Any]]:
    for text in job.TEXTS:
        content = text.content.replace(job.NAME, "{{ site.name }}")
        yield {"file": {"path": text.path, "content": content, "mode": text.mode}}
    for folder, mode in job.DIRECTORIES:
        make = f"mkdir -p {folder} && chmod {mode} {folder}"
        yield _command(make, f'test "$(stat -c %a {folder})" = {mode}')
    link, target = job.LINK
    yield _command(f"ln -sfn {target} {link}", f'test "$(readlink {link})" = {target}')
    for line in job.LINES:
        quoted = f"'{line}'"
        yield _command(f"echo {quoted} >> {job.SETTINGS}", f"grep -qxF {quoted} {job.SETTINGS}")
    yield _command(f"tar -cf {job.ARCHIVE} releases", f"test -e {job.ARCHIVE}")


def _command(run: str, unless: str) -> dict[str, Any]:
    return {"command": {"run": run, "unless": unless}}


def for_ansible(place: Path, fleet: Fleet, hosts: Sequence[Host]) -> None:
    """Write a playbook, its files and templates, and an inventory."""
    _sources(place, "inventory_hostname")
    play = {
        "name": "Twenty steps", "hosts": "all", "gather_facts": False,
        "tasks": list(_ansible_tasks()),
    }  # fmt: skip
    _yaml(place / "site.yml", [play])
    listed = {host.name: {"ansible_host": host.address, "root": str(host.root)} for host in hosts}
    shared = {"ansible_port": fleet.port, "ansible_user": fleet.user}
    _yaml(place / "hosts.yml", {"all": {"hosts": listed, "vars": shared}})


def _ansible_tasks() -> Iterator[dict[str, Any]]:
    for text in job.TEXTS:
        module = "template" if text.named else "copy"
        settings = {"src": _source(text), "dest": _at(text.path), "mode": f"0{text.mode}"}
        yield _task(text.path, module, settings)
    for folder, mode in job.DIRECTORIES:
        settings = {"path": _at(folder), "state": "directory", "mode": f"0{mode}"}
        yield _task(folder, "file", settings)
    link, target = job.LINK
    yield _task(link, "file", {"path": _at(link), "src": target, "state": "link"})
    for line in job.LINES:
        yield _task(line, "lineinfile", {"path": _at(job.SETTINGS), "line": line})
    archive = f"tar -cf {job.ARCHIVE} releases"
    made = {"cmd": archive, "chdir": "{{ root }}", "creates": job.ARCHIVE}
    yield _task(job.ARCHIVE, "command", made)


def _task(name: str, module: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, f"ansible.builtin.{module}": settings}


def _at(path: str) -> str:
    return f"{{{{ root }}}}/{path}"


def for_pyinfra(place: Path, fleet: Fleet, hosts: Sequence[Host]) -> None:
    """Write a deploy, its files and templates, and an inventory."""
    _sources(place, "host.name")
    texts = [(text.named, _source(text), text.path, text.mode) for text in job.TEXTS]
    written = _DEPLOY.format(
        texts=texts, folders=job.DIRECTORIES, link=job.LINK, settings=job.SETTINGS,
        lines=job.LINES, archive=job.ARCHIVE,
    )  # fmt: skip
    (place / "deploy.py").write_text(written)
    shared = {
        "ssh_port": fleet.port, "ssh_user": fleet.user, "ssh_key": str(fleet.key),
        "ssh_known_hosts_file": str(fleet.known_hosts), "ssh_strict_host_key_checking": "yes",
    }  # fmt: skip
    listed = [
        (host.name, {"ssh_hostname": host.address, "root": str(host.root), **shared})
        for host in hosts
    ]
    # A host is a tuple there; of a list pyinfra says nothing, does nothing, and ends well.
    (place / "inventory.py").write_text(f"shops = {listed!r}\n")


_DEPLOY = """from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.operations import files, server

root = host.data.root
for named, source, path, mode in {texts!r}:
    if named:
        files.template(name=path, src=source, dest=f"{{root}}/{{path}}", mode=mode)
    else:
        files.put(name=path, src=source, dest=f"{{root}}/{{path}}", mode=mode)
for path, mode in {folders!r}:
    files.directory(name=path, path=f"{{root}}/{{path}}", mode=mode)
link, target = {link!r}
files.link(name=link, path=f"{{root}}/{{link}}", target=target)
for line in {lines!r}:
    files.line(name=line, path=f"{{root}}/{settings}", line=line)
if not host.get_fact(File, f"{{root}}/{archive}"):
    server.shell(name="archive", commands=[f"cd {{root}} && tar -cf {archive} releases"])
"""


def _sources(place: Path, word: str) -> None:
    for text in job.TEXTS:
        path = place / _source(text)
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.content.replace(job.NAME, f"{{{{ {word} }}}}"))


def _source(text: job.Text) -> str:
    name = text.path.replace("/", "-")
    return f"templates/{name}.j2" if text.named else f"files/{name}"


def _yaml(path: Path, value: Any) -> None:
    path.write_text(yaml.safe_dump(value, sort_keys=False, allow_unicode=True))
