"""The real command, as a person or a program meets it."""

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from tests.cli.terminal import BIN, Ended, environment, on_terminal, piped

from opsplay.cli import main
from opsplay.core.errors import ExitStatus

HEAVY = ("boto3", "fabric", "paramiko", "jinja2", "jsonschema", "rich", "httpx")
VERBS = (
    "approve", "backups", "backups.clear", "backups.expire", "backups.verify", "bench", "cancel", "check", "demo", "dev.lint", "dev.schema", "doctor", "drill", "erase", "erasures", "hosts.accept", "init", "lab.down",
    "lab.reset", "lab.status", "lab.up", "logs", "logs.verify", "restore", "resume", "rollback", "run", "schedule.install", "schedule.list", "schedule.tick",
    "serve", "soak", "test", "vault.probe", "vault.setup", "version", "workers",
)  # fmt: skip


def messages(ended):
    return [json.loads(line) for line in ended.out.splitlines()]


def test_the_version_is_told_without_loading_anything_heavy():
    script = (
        "import sys, time; start = time.perf_counter();"
        "from opsplay.cli import main; main(['--version']);"
        "print(time.perf_counter() - start); print(*sorted(sys.modules))"
    )

    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, encoding="utf-8"
    ).stdout.splitlines()

    assert re.fullmatch(r"opsplay \d+\.\d+\.\d+", out[0])
    assert float(out[1]) < 0.15
    assert not set(HEAVY) & set(out[2].split())


@pytest.fixture
def here(ops, monkeypatch, capsys):
    """Runs the command in this process: quick, for what ends before anything is started."""
    monkeypatch.chdir(ops)
    monkeypatch.setattr(sys, "argv", ["opsplay"])

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            main(words)
        told = capsys.readouterr()
        return Ended(ended.value.code or 0, told.out, told.err)

    return call


@pytest.mark.parametrize("program", ["opsplay", "invoke"])
def test_both_names_have_the_same_verbs(ops, program):
    told = piped(ops, "--list", program=program)

    listed = re.findall(r"^  ([a-z][a-z.]*)  ", told.out, re.MULTILINE)
    assert tuple(listed) == VERBS
    assert told.status == 0


def test_without_a_verb_the_program_says_how_to_begin(ops):
    told = piped(ops)

    assert told.status == 0
    assert "opsplay demo" in told.out
    for status in ExitStatus:
        assert f"{int(status):>3}  {status.meaning}" in told.out


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_teaches_itself_with_its_exit_statuses(here, verb):
    told = here(verb, "--help")

    assert told.status == 0
    assert f"Usage: opsplay {verb}" in told.out
    assert "Exit status: 0 done" in " ".join(told.out.split())
    flags = told.out.partition("Flags:")[2]
    assert not re.search(r"^  --\S+( [A-Z=]+)?$", flags, re.MULTILINE), "a flag without a text"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rnu"], "there is no verb 'rnu'; did you mean run?"),
        (["--help", "chek"], "there is no verb 'chek'; did you mean check?"),
        (["run", "playbooks/hello.yaml", "--chek"], "run has no flag --chek; did you mean --check?"),
        (["run", "--chek"], "run has no flag --chek; did you mean --check?"),
        (["run", "playbooks/hello.yaml", "--limit"], "--limit needs a value"),
        (["run"], "run needs PLAYBOOK"),
        (["run", "playbooks/hello.yaml", "other.yaml"], "run does not know what to do with 'other.yaml'"),
        (["logs", "one", "two"], "logs does not know what to do with 'two'"),
        (["--bogus"], "opsplay has no flag --bogus"),
        (["--config"], "--config needs a value"),
        (["run", "nope.yaml"], "no playbook nope.yaml (there is: playbooks/failing.yaml"),
        (["run", "playbooks/hello.yaml", "--extra-vars", "words"], "--extra-vars 'words'"),
        (["logs", "--since", "soon"], "--since 'soon' is not a time"),
        (["logs", "last"], "no journal in .opsplay"),
        (["resume", "last", "--done", "a", "--redo", "a"], "--done a and --redo a: it is one or the other"),
        (["demo", "--playbook", "playbooks/hello.yaml"], "inventory/lab.yaml is not here"),
        (["dev.lint"], "this verb works on opsplay's own source"),
        (["hosts.accept", "nowhere"], "no host 'nowhere' in the inventory"),
        (["check", "playbooks/hello.yaml", "--inventory", "nowhere"], "no inventory file"),
    ],
)  # fmt: skip
def test_a_mistake_on_the_command_line_is_answered_with_a_hint_and_status_2(here, ops, words, told):
    ended = here(*words)

    assert f"error: {told}" in ended.err
    assert "Traceback" not in ended.err
    assert ended.status == 2
    assert not (ops / ".opsplay").exists()


def test_stock_invoke_answers_mistakes_likewise(ops):
    ended = piped(ops, "rnu", program="invoke")

    assert ended.err == "error: there is no verb 'rnu'; did you mean run?\ntry: invoke --list\n"
    assert ended.status == 2


def test_mistakes_in_a_playbook_come_all_at_once_with_their_places(ops):
    ended = piped(ops, "run", "playbooks/typo.yaml")

    assert ended.status == 2
    assert "error: playbooks/typo.yaml:3:1: 'stagse' is not known here" in ended.err
    told = messages(piped(ops, "run", "playbooks/typo.yaml", "--json"))[-1]
    assert (told["message_type"], told["code"]) == ("exit_error", 2)
    assert [(one["line"], one["column"]) for one in told["problems"]] == [(1, 1), (3, 1)]


@pytest.mark.parametrize("words", [["check"], ["run", "--check"], ["--dry", "run"]])
def test_a_check_shows_before_and_after_and_changes_nothing(ops, words):
    ended = piped(ops, *words, "playbooks/hello.yaml", "--diff")

    assert ended.status == ExitStatus.PENDING
    assert "file hello.txt" in ended.out
    assert "+hello" in ended.out
    assert not (ops / "htdocs" / "hello.txt").exists()
    assert not (ops / ".opsplay" / "journal.db").exists()


def test_a_run_does_it_and_the_next_one_finds_nothing_to_do(ops):
    first = piped(ops, "run", "playbooks/hello.yaml")
    second = piped(ops, "run", "playbooks/hello.yaml")

    assert (first.status, second.status) == (0, 0)
    assert (ops / "htdocs" / "hello.txt").read_text() == "hello\nworld\n"
    assert "▲ changed      shop" in first.out
    assert "✓ ok           shop  unchanged" in second.out
    assert "\x1b" not in first.out
    assert "round trips  local" in first.out
    assert "opsplay rollback" in first.out
    assert piped(ops, "check", "playbooks/hello.yaml").status == 0


def test_a_failure_shows_the_last_lines_and_where_to_read_more(ops):
    ended = piped(ops, "run", "playbooks/failing.yaml")

    assert ended.status == ExitStatus.FAILED
    shown = [line.strip() for line in ended.out.splitlines()]
    assert "30" in shown
    assert "5" not in shown
    assert re.search(r"next +opsplay logs \S+ --failed", ended.out)
    assert "failed at: Break › command" in ended.out


def test_every_answer_to_a_program_is_json(ops):
    run = messages(piped(ops, "run", "playbooks/hello.yaml", "--json"))
    assert {one["message_type"] for one in run} == {"event", "summary"}
    assert run[-1]["exit_status"] == 0

    single = {
        ("check", "playbooks/hello.yaml"): "plan",
        ("logs",): "runs",
        ("logs.verify",): "verify",
        ("backups",): "backups",
        ("doctor",): "doctor",
        ("version",): "version",
        ("lab.status",): "lab",
        ("init", "new"): "init",
        ("hosts.accept", "nowhere"): "exit_error",
        ("resume", "nope"): "exit_error",
        ("rollback", "nope"): "exit_error",
        ("restore", "nope"): "exit_error",
        ("rnu",): "exit_error",
    }
    for words, kind in single.items():
        ended = piped(ops, *words, "--json")
        assert [one["message_type"] for one in messages(ended)] == [kind], (words, ended)
    events = messages(piped(ops, "logs", "last", "--json", "--site", "shop"))
    assert {one["site"] for one in events} == {"shop"}


def test_the_logs_tell_what_was_done(ops):
    assert piped(ops, "logs").out.startswith("no runs yet")
    piped(ops, "run", "playbooks/hello.yaml")
    piped(ops, "run", "playbooks/failing.yaml")

    assert len(piped(ops, "logs").out.splitlines()) == 4
    assert "Say hello" not in piped(ops, "logs", "--failed").out
    assert "Say hello" in piped(ops, "logs", "--since", "1h").out
    assert piped(ops, "logs", "--since", "2999-01-01").out.startswith("no runs yet")
    assert "Break › command" in piped(ops, "logs", "last").out
    assert "Break › command" in piped(ops, "logs", "--failed", "last").out
    assert "✓ ok: " in piped(ops, "logs.verify").out


def test_an_edited_journal_is_found_out(ops):
    piped(ops, "run", "playbooks/hello.yaml")
    with sqlite3.connect(ops / ".opsplay" / "journal.db") as journal:
        journal.execute("DROP TRIGGER events_are_not_edited")
        journal.execute("UPDATE events SET data = '{}' WHERE sequence = 3")
    journal.close()

    ended = piped(ops, "logs.verify")

    assert ended.status == ExitStatus.FAILED
    assert "✗ failed: event 3" in ended.out


def test_following_shows_what_happens_until_it_is_stopped(ops):
    piped(ops, "run", "playbooks/hello.yaml")

    ended = on_terminal(ops, "logs", "--follow", replies=[("exit status 0", signal.SIGINT)])

    assert "Greet › file" in ended.plain
    assert ended.status == ExitStatus.INTERRUPTED


def test_a_new_repository_is_made_once(ops):
    first = piped(ops, "init", "new")
    again = piped(ops, "init", "new")

    assert first.status == 0
    assert (ops / "new" / "playbooks" / "update.yaml").is_file()
    assert again.status == 2
    assert "nothing was written" in again.err


def test_the_doctor_says_what_is_missing_and_what_to_do(ops):
    (ops / "htdocs").rmdir()

    ended = piped(ops, "doctor")

    assert ended.status == ExitStatus.FAILED
    assert "no readable" in ended.out
    assert "fix: correct `root:` in the inventory" in ended.out


def test_a_bug_is_told_in_words_and_its_traceback_kept(ops):
    (ops / ".opsplay").mkdir()
    (ops / ".opsplay" / "journal.db").mkdir()
    script = (
        "import sys; sys.argv = ['opsplay', 'version'];"
        "from opsplay.cli import reading, main; reading.program_name = None;"
        "main(['version', '--json'])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ops, capture_output=True, check=False, encoding="utf-8"
    )

    told = json.loads(done.stdout)
    assert done.returncode == ExitStatus.FAILED
    assert told["error"].startswith("opsplay itself failed (TypeError")
    (saved,) = (ops / ".opsplay" / "bugs").iterdir()
    assert "Traceback" in saved.read_text()
    assert saved.stat().st_mode & 0o777 == 0o600


def test_a_reader_that_goes_away_does_not_stop_the_work(ops):
    command = f"{BIN / 'opsplay'} run playbooks/slow.yaml | head -n 1"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ops, env=environment(ops), check=False,
        capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip

    assert done.returncode == 0
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr
    assert (ops / "htdocs" / "two").read_text() == "two\n"


def test_a_reader_of_json_that_goes_away_does_not_stop_the_work(ops):
    command = f"{BIN / 'opsplay'} run playbooks/slow.yaml --json | head -c 1"

    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=ops, env=environment(ops), check=False,
        capture_output=True, encoding="utf-8", timeout=60,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")
    assert (ops / "htdocs" / "two").is_file()


def test_on_a_terminal_the_plan_is_shown_and_a_no_changes_nothing(ops):
    ended = on_terminal(ops, "run", "playbooks/hello.yaml", replies=[("[y/N]", b"n\r")])

    assert "file hello.txt" in ended.plain
    assert "nothing was changed" in ended.plain
    assert ended.status == ExitStatus.INTERRUPTED
    assert not (ops / "htdocs" / "hello.txt").exists()


def test_on_a_terminal_a_yes_goes_on_in_colour_and_live(ops):
    ended = on_terminal(ops, "run", "playbooks/slow.yaml", replies=[("[y/N]", b"y\r")])

    assert ended.status == 0
    assert "\x1b[33m▲ changed" in ended.out
    assert "▸ shop" in ended.plain
    assert (ops / "htdocs" / "two").is_file()


def test_no_color_is_respected_on_a_terminal(ops):
    ended = on_terminal(ops, "run", "playbooks/hello.yaml", "--yes", NO_COLOR="1")

    assert ended.status == 0
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", ended.out)
    assert "▲ changed" in ended.plain


def test_a_terminal_that_cannot_move_gets_plain_lines(ops):
    ended = on_terminal(ops, "run", "playbooks/hello.yaml", "--yes", TERM="dumb")

    assert ended.status == 0
    assert "\x1b" not in ended.out


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_after_the_current_act(ops, asked):
    began = time.monotonic()
    ended = on_terminal(
        ops, "run", "playbooks/slow.yaml", "--yes", replies=[("Wait › command", asked)]
    )

    assert "stopping after the current act" in ended.plain
    assert ended.status == ExitStatus.INTERRUPTED
    assert re.search("(opsplay|invoke) resume", ended.plain)
    assert (ops / "htdocs" / "one").is_file()
    assert not (ops / "htdocs" / "two").exists()
    assert time.monotonic() - began < 30


def test_a_second_ctrl_c_does_not_wait(ops):
    text = (ops / "playbooks" / "slow.yaml").read_text().replace("sleep 2", "sleep 40")
    (ops / "playbooks" / "slow.yaml").write_text(text)
    began = time.monotonic()

    ended = on_terminal(
        ops, "run", "playbooks/slow.yaml", "--yes",
        replies=[("Wait › command", signal.SIGINT), ("again to stop at once", signal.SIGINT)],
    )  # fmt: skip

    assert ended.status == ExitStatus.INTERRUPTED
    assert time.monotonic() - began < 20


def test_a_terminal_with_a_poor_encoding_is_no_error(ops):
    ended = piped(ops, "run", "playbooks/hello.yaml", PYTHONIOENCODING="ascii")

    assert ended.status == 0
    assert "? changed" in ended.out


def test_what_is_generated_is_written_once_and_then_found_unchanged(ops):
    (ops / "src" / "opsplay" / "cli").mkdir(parents=True)

    drifted = piped(ops, "dev.schema", "--check")
    written = piped(ops, "dev.schema")

    assert drifted.status == ExitStatus.FAILED
    assert "drifted schemas/playbook.schema.json" in drifted.out
    assert "wrote schemas/playbook.schema.json" in written.out
    assert piped(ops, "dev.schema", "--check").status == 0


def test_the_gates_of_form_name_what_failed(ops):
    (ops / "src" / "opsplay" / "cli").mkdir(parents=True)

    ended = piped(ops, "dev.lint")

    assert ended.status == ExitStatus.FAILED
    assert "failed: ruff format" in ended.out


def test_a_host_that_does_not_answer_is_a_finding_with_a_status_of_its_own(ops):
    path = ops / "inventory" / "tests.yaml"
    path.write_text(path.read_text().replace("host: local", "host: nobody@127.0.0.1:9"))

    ended = piped(ops, "doctor")

    assert ended.status == ExitStatus.UNREACHABLE
    assert "✗ failed" in ended.out
    assert "fix: " in ended.out
