"""What all verbs share: an answer in words and a status, whatever happens inside."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from invoke import Argument, Context, Exit, Task

from opsplay.cli.given import JOURNAL, choose_journal
from opsplay.cli.screen import be_robust, emit, program_name, stop_printing
from opsplay.core.errors import ExitStatus, Interrupted, InvalidInput, OpsplayError
from opsplay.kit.clock import SystemClock

Body: TypeAlias = Callable[..., ExitStatus | None]

READING = (ExitStatus.DONE, ExitStatus.FAILED, ExitStatus.INVALID)
REACHING = (*READING, ExitStatus.UNREACHABLE, ExitStatus.INTERRUPTED)
CHANGING = (
    ExitStatus.DONE, ExitStatus.FAILED, ExitStatus.INVALID, ExitStatus.ROLLED_BACK,
    ExitStatus.WAITING, ExitStatus.LOCKED, ExitStatus.UNREACHABLE, ExitStatus.INTERRUPTED,
)  # fmt: skip


class Verb(Task[Any]):
    """A task that may take one word without a flag: `logs RUN` is `logs --run RUN`.

    Invoke cannot do that for an argument with a default; `opsplay.cli.program` spells it out.
    """

    optional_word = ""
    texts: Mapping[str, str] = MappingProxyType({})
    """Help texts by flag. Invoke takes them out of `help` each time it makes a parser."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Argument]:
        self.help = dict(self.texts)
        return super().get_arguments(ignore_unknown_help)

    def arg_opts(self, name: str, default: str, taken_names: set[str]) -> dict[str, Any]:
        opts = super().arg_opts(name, default, taken_names)
        # Invoke makes the type of the default the kind: `()` would cut each value into letters.
        return {**opts, "kind": list, "default": []} if name in self.iterable else opts


def verb(
    statuses: Sequence[ExitStatus], *, word: str = "", name: str = "", **options: Any
) -> Callable[[Body], Verb]:
    """Make a task of a function that returns its exit status (None: done).

    Args:
        statuses: the exit statuses its help names.
        word: the flag that a word without a flag stands for.
        name: the verb, when the function's name would hide something.
        options: as for `invoke.task`; short flags are never made up, for they move about.
    """

    def make(body: Body) -> Verb:
        @functools.wraps(body)
        def guarded(context: Context, *args: Any, **named: Any) -> None:
            choose_journal(named.pop("journal", ""))
            status = _answered(functools.partial(body, context, *args, **named), named)
            if status:
                raise Exit(code=int(status))

        guarded.__doc__ = f"{inspect.getdoc(body)}\n\n{_legend(statuses)}"
        options.setdefault("positional", [])
        texts = options.get("help", {})
        signature = inspect.signature(body)
        if "state" in signature.parameters:
            guarded.__signature__ = _with_journal(signature)  # type: ignore[attr-defined]
            texts = options["help"] = {**texts, "journal": JOURNAL}
        made = Verb(guarded, name=name or None, auto_shortflags=False, **options)
        made.optional_word = word
        made.texts = texts
        return made

    return make


def _with_journal(signature: inspect.Signature) -> inspect.Signature:
    """Add `--journal` to a verb that has `--state`: where the state is, the journal is by default."""
    flag = inspect.Parameter("journal", inspect.Parameter.POSITIONAL_OR_KEYWORD, default="")
    return signature.replace(parameters=[*signature.parameters.values(), flag])


def _legend(statuses: Sequence[ExitStatus]) -> str:
    told = ", ".join(f"{int(status)} {status.meaning}" for status in sorted(statuses))
    return f"Exit status: {told}."


def _answered(body: Callable[[], ExitStatus | None], named: dict[str, Any]) -> ExitStatus | None:
    be_robust()
    json = bool(named.get("json"))
    try:
        return body()
    except OpsplayError as error:
        return tell(error, json=json)
    except BrokenPipeError:
        stop_printing()
        return None
    except KeyboardInterrupt:
        return tell(Interrupted("interrupted"), json=json)
    except Exit:
        raise
    except Exception as error:  # noqa: BLE001 - a bug must not greet a user with a traceback
        return tell(_bug(error, Path(named.get("state") or ".opsplay")), json=json)


def tell(error: OpsplayError, *, json: bool) -> ExitStatus:
    """Print an error, for a person on standard error or for a program as JSON."""
    if json:
        from opsplay.reports.json_lines import error_line

        emit(error_line(error))
    else:
        print(in_words(error), file=sys.stderr)
    return error.exit_status


def in_words(error: OpsplayError) -> str:
    """Return an error as `error:`, `state:` and `try:` lines; one `error:` for each mistake."""
    what = f"{error.site}: {error.what}" if error.site else error.what
    problems = error.problems if isinstance(error, InvalidInput) else ()
    lines = [f"error: {problem}" for problem in problems] or [f"error: {what}"]
    if error.state:
        lines.append(f"state: {error.state}")
    if error.next_command:
        lines.append(f"try: {_as_typed(error.next_command)}")
    return "\n".join(lines)


def _as_typed(command: str) -> str:
    for name in ("invoke ", "opsplay "):
        if command.startswith(name):
            return f"{program_name()} {command.removeprefix(name)}"
    return command


def _bug(error: Exception, state: Path) -> OpsplayError:
    told = f"{type(error).__name__}: {error}"
    now = SystemClock().now().astimezone(UTC)
    try:
        where = f"the traceback is in {_saved(error, state, now)}"
    except OSError:
        where = "the traceback could not be saved"
    return OpsplayError(
        f"opsplay itself failed ({told})",
        state=f"{where}; what was done before is in the journal",
        next_command="invoke logs last",
    )


def _saved(error: Exception, state: Path, now: datetime) -> Path:
    folder = state / "bugs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / f"{now:%Y%m%dT%H%M%S}-{os.getpid()}.txt"
    path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
    path.chmod(0o600)
    return path
