"""A CMS reduced to what a backup needs: files, a real MariaDB database, and a door.

Its database access stands in its root, in `config.cnf`, as real ones have theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from opsplay.core.environment import Environment
from opsplay.core.query import Query
from opsplay.kit.shell import assign, command, quote

_READ = """
[ -f "$root/config.cnf" ] || { echo "no $root/config.cnf" >&2; exit 1; }
database=$(sed -n 's/^# database //p' "$root/config.cnf")
"""
_COUNT = """
ask() { mariadb --defaults-extra-file="$root/config.cnf" -N -B "$database" -e "$1"; }
for table in $(ask "SHOW TABLES"); do echo "rows:$table $(ask "SELECT COUNT(*) FROM $table")"; done
"""
NAME = "plain-test-cms"


@dataclass(frozen=True)
class PlainCms:
    environment: Environment

    @property
    def _root(self) -> str:
        return assign("root", self.environment.root)

    def watermarks(self) -> Query[Mapping[str, str]]:
        script = f"{self._root}\n{_READ}\n{_COUNT}"
        return Query(script, lambda answer: dict(map(str.split, answer.stdout.splitlines())))

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

    def apply_sql(self) -> str:
        return (
            f"{self._root}\n{_READ}\n"
            'mariadb --defaults-extra-file="$root/config.cnf" -N -B -r "$database"'
        )

    def pack_files(self, exclude: Iterable[str] = ()) -> str:
        left_out = " ".join(quote(f"--exclude=./{one}") for one in ("closed", *exclude))
        return f'{self._root}\ntar -C "$root" -cf - {left_out} .'

    def files_left_out(self, exclude: Iterable[str] = ()) -> str:
        return command("printf", "%s\\n", *(f"./{one}" for one in ("closed", *exclude)))

    def unpack_files(self, *, keep_configuration: bool = False, fill: str = "") -> str:
        own = 'cp -p "$root/config.cnf" "$new/" || exit 1' if keep_configuration else ""
        first = _in_a_subshell("unset old", fill or 'tar -C "$new" -xpf -')
        last = _in_a_subshell("old=$was", fill or 'rm -rf "$old"')
        return (
            f"{self._root}\nnew=$root.new was=$root.old\n"
            '[ -e "$root" ] || [ ! -d "$was" ] || mv "$was" "$root" || exit 1\n'
            'mkdir -p "$root" && rm -rf "$new" "$was" && mkdir "$new" || exit 1\n'
            f"{first}\n{own}\n"
            '[ ! -f "$root/closed" ] || cp -p "$root/closed" "$new/" || exit 1\n'
            'mv "$root" "$was" && mv "$new" "$root" || exit 1\n'
            f"{last}"
        )

    def close_to_visitors(self, pass_sha256: str) -> str:
        return f'{self._root}\necho {pass_sha256} >"$root/closed"; echo close >>"$root.diary"'

    def open_to_visitors(self) -> str:
        return f'{self._root}\nrm -f "$root/closed" && echo open >>"$root.diary"'

    def make_clone_safe(self, source_url: str) -> str:
        return f'{self._root}\necho {quote(source_url)} >"$root/cloned-from"'


def _in_a_subshell(first: str, script: str) -> str:
    return f"( {first}\n{script}\n) || exit 1"
