"""The program around the verbs: words without flags, and mistakes answered with status 2."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import invoke.main
from invoke import Exit
from invoke.exceptions import ParseError
from invoke.parser import Parser
from invoke.program import Program
from invoke.terminals import pty_size
from invoke.util import Lexicon

import opsplay
from opsplay.cli.screen import emit, program_name
from opsplay.cli.verb import Verb, in_words
from opsplay.cli.verbs import namespace
from opsplay.core.errors import ExitStatus, InvalidInput

_CORE_FLAGS = frozenset(
    {"--help", "--debug", "--dry", "--echo", "--list", "--version", "--complete"}
)
"""Of Invoke's own flags, those that may follow a verb."""
_READABLE = 90
"""Columns beyond which text is tiring to read."""
_EXAMPLES = """\
Begin with:
  {name} demo                                 see it on two real sites, on this machine
  {name} init our-sites                       make a repository for your own sites
  {name} check playbooks/update.yaml          show what would change, change nothing
  {name} run playbooks/update.yaml            do it, with a backup first and a way back
"""


class _Contexts(Lexicon):
    """What each verb takes. Invoke copies all of it at each use, and then the one that it needs."""

    def __deepcopy__(self, _memo: object) -> _Contexts:
        return self


class OpsplayProgram(Program):
    """Invoke's program, made to answer mistakes as the rest of opsplay does."""

    def _make_parser(self) -> Parser:
        if (made := self.__dict__.get("_made")) is None:
            made = self._made = super()._make_parser()  # twice a run, without this
            object.__setattr__(made.contexts, "__class__", _Contexts)  # its own would make a key
        parser: Parser = made
        return parser

    def parse_core(self, argv: list[str] | None) -> None:
        try:
            super().parse_core(argv)
        except ParseError as error:
            raise self._refused(error) from error

    def parse_tasks(self) -> None:
        # Invoke forbids bytecode files, so as to leave none beside a tasks.py. All that we import
        # from here on would be compiled anew at each start where an installer compiled nothing.
        sys.dont_write_bytecode = bool(sys.flags.dont_write_bytecode)
        try:
            self.parser = self._make_parser()
            optional = dict(_optional_words(self.collection))
            words = spelt_out(self.core.unparsed, self.parser.contexts, optional)
            self.core.unparsed[:] = words
            self._help_first(words)
            super().parse_tasks()
        except ParseError as error:
            raise self._refused(error) from error

    def _help_first(self, words: list[str]) -> None:
        # Invoke would take `--help` for the argument that a verb still waits for.
        if words[:1] and words[0] in self.parser.contexts and {"--help", "-h"} & set(words):
            self.print_task_help(words[0])
            raise Exit

    def parse_cleanup(self) -> None:
        try:
            super().parse_cleanup()
        except ParseError as error:
            raise self._refused(error) from error

    def _refused(self, error: ParseError) -> Exit:
        verbs = (
            sorted(map(spoken, self.collection.task_names)) if hasattr(self, "collection") else []
        )
        problem = explained(error, verbs)
        if "--json" in self.argv:
            from opsplay.reports.json_lines import error_line

            emit(error_line(problem))
            return Exit(code=int(problem.exit_status))
        return Exit(in_words(problem), code=int(problem.exit_status))

    def print_help(self) -> None:
        name = program_name()
        print(f"Usage: {name} VERB [ARGUMENT] [--flags]\n")
        print(_EXAMPLES.format(name=name))
        self.list_tasks()
        print(f"Help on a verb: {name} VERB --help\n\nExit status:")
        for status in ExitStatus:
            print(f"  {int(status):>3}  {status.meaning}")

    def _make_pairs(
        self, coll: Any, ancestors: list[str] | None = None
    ) -> list[tuple[str, str | None]]:
        pairs = super()._make_pairs(coll, ancestors)
        return sorted((spoken(name.partition(" (")[0]), told) for name, told in pairs)

    def task_list_opener(self, extra: str = "") -> str:
        return "Verbs"

    def print_task_help(self, name: str) -> None:
        context = self.parser.contexts[name]
        verb = self.collection[name]
        word = getattr(verb, "optional_word", "")
        needed = [argument.name.upper() for argument in context.positional_args]
        words = [*needed, *([f"[{word.upper()}]"] if word else []), "[--flags]"]
        print(f"Usage: {program_name()} {spoken(name)} {' '.join(words)}\n")
        for paragraph in (inspect.getdoc(verb) or "").split("\n\n"):
            wide = min(_READABLE, pty_size()[0] - 1)
            print(
                textwrap.fill(paragraph, wide, initial_indent="  ", subsequent_indent="  ") + "\n"
            )
        if flags := list(_flags(context)):
            print("Flags:")
            self.print_columns(flags)


def program() -> OpsplayProgram:
    """Return the `opsplay` command."""
    return OpsplayProgram(
        version=opsplay.__version__, namespace=namespace, name="opsplay", binary="opsplay"
    )


def adopt() -> None:
    """Make the running stock `invoke` answer mistakes as `opsplay` does.

    Invoke reads `tasks.py` in the middle of its own program, before it parses the verbs, and has no
    other hook for that: unknown verbs would end with status 1 and no suggestion.
    """
    invoke.main.program.__class__ = OpsplayProgram


def spoken(name: str) -> str:
    """Return a verb as it is typed: `logs` and `backups` are verbs, and names of groups."""
    return name.removesuffix(".list") if name in {"logs.list", "backups.list"} else name


def _flags(context: Any) -> Iterator[tuple[str, str]]:
    for flag in sorted(context.flags):
        argument = context.flags[flag]
        if argument.positional:
            continue
        value = "" if not argument.takes_value else f" {_placeholder(argument)}"
        yield f"{flag}{value}", argument.help or ""


def _placeholder(argument: Any) -> str:
    # The first word of a help text in capitals names the value: "PATTERN of sites …".
    found = re.match(r"[A-Z]{2,}(?:=[A-Z]+)?\b", argument.help or "")
    return found.group() if found else str(argument.name).upper()


def _optional_words(collection: Any) -> Iterator[tuple[str, str]]:
    for name in collection.task_names:
        task = collection[name]
        if isinstance(task, Verb) and task.optional_word:
            yield name, task.optional_word
            yield spoken(name), task.optional_word


def spelt_out(
    words: Iterable[str], contexts: Mapping[str, Any], optional: Mapping[str, str]
) -> list[str]:
    """Return the words with `logs RUN` written as `logs --run RUN`, once a verb.

    Args:
        words: as typed, from the verb on.
        contexts: verb → Invoke's parser context.
        optional: verb → the flag its free word stands for.
    """
    result: list[str] = []
    verb, value_due, free = "", False, ""
    for word in words:
        if verb and not value_due and not word.startswith("-") and free:
            result.append(f"--{free}")
            free = ""
        elif not value_due and word in contexts:
            verb, free = word, optional.get(word, "")
        value_due = not value_due and verb != "" and _wants_value(word, contexts[verb])
        result.append(word)
    return result


def _wants_value(word: str, context: Any) -> bool:
    """Return whether a word is a flag whose value comes next. Raises ParseError: no such flag."""
    name = word.partition("=")[0]
    if not word.startswith("--") or name == "--":
        return False
    flag = context.flags.get(name)
    if flag is None and name not in _CORE_FLAGS:
        msg = f"No idea what {name!r} is!"
        raise ParseError(msg, context)
    return flag is not None and flag.takes_value and name == word


def explained(error: ParseError, verbs: Iterable[str]) -> InvalidInput:
    """Return Invoke's complaint in our words, with a suggestion and the command that helps."""
    context = error.context if error.context is not None and error.context.name else None
    text, verb = str(error), spoken(str(context.name)) if context else ""
    helps = f"invoke {verb} --help" if verb else "invoke --list"
    if unknown := re.match(r"No idea what '(.*)' is!", text, re.DOTALL):
        return InvalidInput(_unknown(unknown[1], verb, context, verbs), next_command=helps)
    if missing := re.search(r"did not receive required positional arguments: (.*)", text):
        words = ", ".join(name.strip("'").upper() for name in missing[1].split(", "))
        return InvalidInput(f"{verb} needs {words}", next_command=helps)
    if flag := re.search(r"Flag .*?([\w-]+)(?: \(\w\))?['>] needed value", text):
        return InvalidInput(f"--{flag[1].lstrip('-')} needs a value", next_command=helps)
    return InvalidInput(text, next_command=helps)


def _unknown(word: str, verb: str, context: Any, verbs: Iterable[str]) -> str:
    if word.startswith("-"):
        flags = list(context.flags) if context else ["--help", "--list", "--version"]
        return f"{verb or 'opsplay'} has no flag {word}{_near(word, flags)}"
    if verb:
        return f"{verb} does not know what to do with {word!r}"
    return f"there is no verb {word!r}{_near(word, verbs)}"


def _near(word: str, known: Iterable[str]) -> str:
    from difflib import get_close_matches

    found = get_close_matches(word, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {found[0]}?" if found else ""
