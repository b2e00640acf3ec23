"""A CMS made of plain files: everything a driver must do, in real sh, within milliseconds.

`version` and `schema` in its root are its version and its database's; `$root.offer` holds what the
update source offers; `$root.diary` gets a line for each thing that was really done.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from opsplay.core.drivers import Facts, LogPosition, Module, Offer
from opsplay.core.environment import Environment
from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer, Query
from opsplay.kit.shell import assign, quote

NAME = "paper-test-cms"
"""Registered for the tests that want it, and not for others: schemas name every driver."""

_FACTS = """
[ -f "$root/version" ] || exit 1
cat "$root/version" "$root/schema" && cat "$root.offer" 2>/dev/null; true
"""
_POINT = 'point="$OPSPLAY_RUN_DIR/restore-point"\n'


@dataclass(frozen=True)
class PaperCms:
    environment: Environment
    title: ClassVar[str] = "Paper"
    module_word: ClassVar[str] = "sheet"
    fatal_signs: ClassVar[tuple[str, ...]] = ("Fatal error:",)

    def _script(self, text: str) -> str:
        return f"{assign('root', self.environment.root)}\n{text}"

    def _diary(self, word: str) -> str:
        return f'echo {word} >> "$root.diary"\n'

    def facts(self) -> Query[Facts]:
        return Query(self._script(_FACTS), read_facts)

    def update_core(self, version: str, package: str) -> str:
        return self._script(
            f'{self._diary("update")}[ ! -e "$root/broken" ] || {{ echo broken >&2; exit 1; }}\n'
            f'echo {quote(version)} > "$root/version"; cp "$root/version" "$root/schema"'
        )

    def update_module(self, name: str, version: str, package: str) -> str:
        return self._script(f'echo {quote(version)} > "$root/module-"{quote(name)}')

    def maintenance(self) -> Query[bool]:
        script = self._script('if [ -f "$root.closed" ]; then echo closed; else echo open; fi')
        return Query(script, lambda answer: answer.stdout == "closed\n")

    def close_to_visitors(self, pass_sha256: str) -> str:
        return self._script(f'{self._diary("close")}echo {pass_sha256} > "$root.closed"')

    def open_to_visitors(self) -> str:
        return self._script(f'{self._diary("open")}rm -f "$root.closed"')

    def save_restore_point(self) -> str:
        return self._script(
            f'{_POINT}[ ! -f "$point/complete" ] || exit 0\n{self._diary("save")}'
            'rm -rf "$point"; mkdir -p "$point/files" && cp -a "$root/." "$point/files" &&'
            ' touch "$point/complete"'
        )

    def put_back(self) -> str:
        return self._script(
            f'{_POINT}{self._diary("put-back")}find "$root" -mindepth 1 -delete &&'
            ' cp -a "$point/files/." "$root"'
        )

    def put_back_core(self) -> str:
        return self._script(f'{_POINT}cp -a "$point/files/version" "$root/version"')

    def put_back_module(self, name: str) -> str:
        return self._script(f'rm -f "$root/module-"{quote(name)}')

    def dump_database(self) -> str:
        return self._script('cat "$root/schema" && echo "-- Dump completed"')

    def load_database(self) -> str:
        return self._script('sed /^--/d > "$root/schema"')

    def apply_sql(self) -> str:
        return self._script(f'{self._diary("sql")}cat >/dev/null; printf "erasures\\tend\\t0\\n"')

    def watermarks(self) -> Query[Mapping[str, str]]:
        script = self._script('cat "$root/schema"')
        return Query(script, lambda answer: {"schema": answer.stdout.strip()})

    def pack_files(self, exclude: Iterable[str] = ()) -> str:
        return self._script('tar -C "$root" -cf - .')

    def files_left_out(self, exclude: Iterable[str] = ()) -> str:
        return f"printf '%s\\n' {' '.join(quote(f'./{one}') for one in exclude)}"

    def unpack_files(self, *, keep_configuration: bool = False, fill: str = "") -> str:
        if fill:
            filled = f'( unset old; new="$root.new"; {fill}\n) || exit 1\n'
            kept = f'( old="$root.old"; {fill}\n) || exit 1\n'
            return self._script(
                f'mkdir -p "$root" && rm -rf "$root.new" "$root.old" && mkdir "$root.new" || exit 1\n'
                f'{filled}mv "$root" "$root.old" && mv "$root.new" "$root" || exit 1\n{kept}'
            )
        return self._script(
            'mkdir -p "$root" && find "$root" -mindepth 1 -delete && tar -C "$root" -xpf -'
        )

    def make_clone_safe(self, source_url: str) -> str:
        return self._script(f'{self._diary("safe")}echo {quote(source_url)} > "$root/safe"')

    def clone_marks(self) -> Query[bool]:
        script = self._script('[ -f "$root/safe" ]')
        return Query(script, lambda answer: answer.ok)

    def error_log(self) -> Query[LogPosition]:
        return Query(self._script("echo none"), lambda _answer: LogPosition("", 0))


def read_facts(answer: Answer) -> Facts:
    lines = answer.stdout.splitlines()
    if len(lines) < 2:
        raise UnreadableAnswer("this is no paper CMS", state="nothing was changed")
    version, schema, *offered = lines
    newer = tuple(Offer(one, f"https://paper.example/{one}", "major") for one in offered)
    newer = tuple(offer for offer in newer if offer.version != version)
    return Facts(version, schema, version, (Module("glue", "1.0"),), newer)
