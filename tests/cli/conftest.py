"""A small ops repository whose only site is a directory on this machine."""

import pytest

INVENTORY = """\
client: Tests
sites:
  shop:
    cms: wordpress
    environments:
      production: {{host: local, root: {root}, url: "http://127.0.0.1:9"}}
"""
PLAYBOOK = """\
name: Say hello
sites: all
stages:
  - name: Greet
    steps:
      - file: {path: hello.txt, content: "hello\\nworld\\n"}
"""
SLOW = """\
name: Take your time
sites: all
stages:
  - name: Wait
    steps:
      - command: {run: sleep 2; echo one > one, changes: the first}
      - command: {run: echo two > two, changes: the second}
"""
FAILING = """\
name: Fail
sites: all
stages:
  - name: Break
    steps:
      - command: {run: "seq 1 30; exit 3", changes: nothing good}
"""
TYPO = "name: Typo\nsites: all\nstagse: []\n"


@pytest.fixture
def ops(tmp_path):
    root = tmp_path / "htdocs"
    root.mkdir()
    for folder in ("inventory", "playbooks"):
        (tmp_path / folder).mkdir()
    (tmp_path / "inventory" / "tests.yaml").write_text(INVENTORY.format(root=root))
    texts = {"hello": PLAYBOOK, "slow": SLOW, "failing": FAILING, "typo": TYPO}
    for name, text in texts.items():
        (tmp_path / "playbooks" / f"{name}.yaml").write_text(text)
    (tmp_path / "tasks.py").write_text(
        "from opsplay.cli import adopt, namespace\n__all__ = ['namespace']\nadopt()\n"
    )
    return tmp_path
