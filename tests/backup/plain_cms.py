"""A CMS reduced to what a backup needs: files, a real MariaDB database, and a door.

Its database access stands in its root, in `config.cnf`, as real ones have theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opsplay.core.environment import Environment
from opsplay.kit.shell import assign, quote

_READ = """
[ -f "$root/config.cnf" ] || { echo "no $root/config.cnf" >&2; exit 1; }
database=$(sed -n 's/^# database //p' "$root/config.cnf")
"""
NAME = "plain-test-cms"


@dataclass(frozen=True)
class PlainCms:
    environment: Environment

    @property
    def _root(self) -> str:
        return assign("root", self.environment.root)

    def dump_database(self) -> str:
        return (
            f"{self._root}\n{_READ}\n"
            'mariadb-dump --defaults-extra-file="$root/config.cnf" --single-transaction '
            '--no-tablespaces --hex-blob --routines "$database"'
        )

    def load_database(self) -> str:
        return (
            f'{self._root}\n{_READ}\nmariadb --defaults-extra-file="$root/config.cnf" "$database"'
        )

    def pack_files(self, exclude: Iterable[str] = ()) -> str:
        left_out = " ".join(quote(f"--exclude=./{one}") for one in ("closed", *exclude))
        return f'{self._root}\ntar -C "$root" -cf - {left_out} .'

    def unpack_files(self, *, keep_configuration: bool = False) -> str:
        keep = "--exclude=./config.cnf" if keep_configuration else ""
        spared = "! -name config.cnf" if keep_configuration else ""
        return (
            f'{self._root}\nmkdir -p "$root" || exit 1\n'
            f'find "$root" -mindepth 1 -maxdepth 1 {spared} -exec rm -rf {{}} +\n'
            f'tar -C "$root" -xpf - {keep}'
        )

    def close_to_visitors(self, pass_sha256: str) -> str:
        return f'{self._root}\necho {pass_sha256} >"$root/closed"; echo close >>"$root.diary"'

    def open_to_visitors(self) -> str:
        return f'{self._root}\nrm -f "$root/closed"; echo open >>"$root.diary"'

    def make_clone_safe(self, source_url: str) -> str:
        return f'{self._root}\necho {quote(source_url)} >"$root/cloned-from"'
