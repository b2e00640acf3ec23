"""schedule.list, schedule.tick and schedule.install, as a person, cron and systemd meet them."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cli.terminal import BIN, Ended, environment, piped

from opsplay.app import apart, installing
from opsplay.app.options import Options
from opsplay.cli import main
from opsplay.core.errors import ExitStatus, InvalidInput
from opsplay.engine.crontab import entry, with_block, without_block
from opsplay.engine.units import units
from opsplay.journal import Journal
from opsplay.kit.clock import FrozenClock

BOOK = """\
name: Say hello by night
schedule: {at: daily, timezone: Europe/Paris}
stages:
  - name: Greet
    steps:
      - command: {run: echo hello >> hello.txt, changes: a line}
"""
DRILL = """\
name: Drill
schedule: {at: quarterly, timezone: Europe/Paris, spread: 6h}
stages:
  - name: Look
    steps:
      - command: {run: "true", changes: nothing}
"""
SITE = '  site-{:02}: {{cms: wordpress, environments: {{production: {{host: local, root: /srv/x, url: "http://127.0.0.1:9"}}}}}}\n'


@pytest.fixture
def nightly(ops):
    """A playbook whose schedule was seen two days ago, so that a run is due now."""
    (ops / "playbooks" / "night.yaml").write_text(BOOK)
    (ops / "playbooks" / "typo.yaml").unlink()
    journal = Journal(ops / ".opsplay" / "journal.db", FrozenClock(_days_ago(2)))
    identity = "0 3 * * * Europe/Paris"
    data = {"name": "night", "sites": ["shop"], "identity": identity}
    journal.append("schedule", "schedule_seen", "", data)
    journal.close()
    return ops


def _days_ago(days):
    return datetime.now(tz=UTC) - timedelta(days=days)


@pytest.fixture
def here(ops, monkeypatch, capsys):
    """Runs the command in this process: quick."""
    monkeypatch.chdir(ops)
    monkeypatch.setattr(sys, "argv", ["opsplay"])
    monkeypatch.setenv("COLUMNS", "200")

    def call(*words):
        status = 0
        try:
            main(words)
        except SystemExit as ended:
            status = ended.code or 0
        told = capsys.readouterr()
        return Ended(status, told.out, told.err)

    return call


def messages(ended):
    return [json.loads(line) for line in ended.out.splitlines()]


def test_a_year_of_drills_on_forty_sites_through_a_break_of_ten_days(ops, here):
    for path in (ops / "playbooks").iterdir():
        path.unlink()
    (ops / "playbooks" / "drill.yaml").write_text(DRILL)
    sites = "".join(SITE.format(number) for number in range(40))
    (ops / "inventory" / "tests.yaml").write_text(f"client: Forty\nsites:\n{sites}")
    year = ("--from", "2027-01-02", "--until", "2028-01-02", "--off", "2027-03-27/2027-04-06T09:00")

    told = here("schedule.list", *year)
    data = messages(here("schedule.list", *year, "--json"))[0]["starts"]

    assert told.status == 0
    assert told.out.endswith("160 starts on 40 sites, each slot once\n")
    assert len({(one["site"], one["slot"]) for one in data}) == len(data) == 160
    assert {one["slot"] for one in data} == {
        "2027-04-01T01:00:00+00:00", "2027-07-01T01:00:00+00:00",
        "2027-10-01T01:00:00+00:00", "2028-01-01T02:00:00+00:00",
    }  # fmt: skip
    late = [one for one in data if one["at"] != one["due"]]
    assert {one["at"] for one in late} == {"2027-04-06T09:00:00+00:00"}
    assert len(late) == 40
    assert "Tue 2027-04-06 11:00 CEST" in told.out
    assert told.out.count("made up for Thu 2027-04-01") == 40
    assert "Sat 2028-01-01 0" in told.out
    assert not (ops / ".opsplay").exists(), "who only looks leaves nothing behind"


def test_a_tick_starts_what_is_due_says_so_once_and_then_nothing(nightly, here):
    waits = here("schedule.list")
    first = here("schedule.tick")
    second = here("schedule.tick")
    told = here("schedule.list")

    assert "(due)" in waits.out
    assert "never run" in waits.out
    assert (first.status, second.status) == (0, 0), first
    assert first.out.count("\n") == 1
    assert " UTC  night: run 2" in first.out
    assert first.out.rstrip().partition("; missed")[0].endswith("on shop: changed")
    assert (second.out, second.err) == ("", "")
    assert (nightly / "htdocs" / "hello.txt").read_text() == "hello\n"
    assert "▲ changed" in told.out
    assert "(due)" not in told.out


@pytest.mark.usefixtures("nightly")
def test_a_program_reads_what_a_tick_did_and_how_schedules_stand(here):
    (tick,) = messages(here("schedule.tick", "--json"))
    (listed,) = messages(here("schedule.list", "--json"))

    assert (tick["message_type"], tick["what"], tick["name"]) == ("tick", "started", "night")
    assert tick["sites"] == ["shop"]
    assert tick["slot"].startswith("night@20")
    (row,) = listed["schedules"]
    assert (row["playbook"], row["site"], row["schedule"]) == ("night", "shop", "daily")
    assert (row["last_run"], row["last_state"]) == (tick["run"], "changed")
    assert row["overdue_since"] is None


def test_an_overdue_run_is_an_alarm_wherever_one_looks(nightly, here):
    path = nightly / "playbooks" / "night.yaml"
    path.write_text(BOOK.replace("at: daily", "at: daily, misfire: skip, overdue: 1h"))

    ticked = here("schedule.tick", "--quiet")
    listed = here("schedule.list")
    doctor = here("doctor")

    assert ticked.status == listed.status == doctor.status == ExitStatus.FAILED
    assert "night: shop is overdue; last good run: never" in ticked.out
    assert "✗ overdue since" in listed.out
    assert "overdue: night" in doctor.out


def test_apart_the_tick_ends_at_once_and_the_run_goes_on_in_a_process_of_its_own(nightly):
    log = nightly / ".opsplay" / "schedule" / "night.log"
    told = piped(nightly, "schedule.tick", "--apart")

    ends = time.monotonic() + 60
    while not (log.is_file() and "night: run" in log.read_text()) and time.monotonic() < ends:
        time.sleep(0.1)

    assert told.status == 0
    assert "night: due on shop; told in night.log" in told.out
    assert "on shop: changed" in log.read_text()
    assert (nightly / "htdocs" / "hello.txt").read_text() == "hello\n"


@pytest.mark.usefixtures("nightly")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["schedule.list", "--from", "soon"], "--from 'soon' is not a time"),
        (["schedule.list", "--off", "2027-01-01"], "--off '2027-01-01' is not a span"),
        (["schedule.tick", "--only", "nightly"], "no playbook 'nightly' has a schedule"),
    ],
)
def test_a_mistake_is_answered_with_a_hint_and_status_2(words, told, here):
    ended = here(*words)

    assert f"error: {told}" in ended.err
    assert ended.status == 2


def test_mistakes_in_playbooks_are_told_beside_the_schedules_that_can_be_read(nightly, here):
    (nightly / "playbooks" / "other.yaml").write_text("name: Other\nschedule: daly\nstages: []\n")

    ended = here("schedule.list")

    assert ended.status == 2
    assert "'daly' is not a schedule; did you mean 'daily'?" in ended.err
    assert "night" in ended.out


AWKWARD = '/srv/o\'ur 100% $HOME "sites"'


def test_the_crontab_line_means_the_words_whatever_they_hold(tmp_path):
    there = tmp_path / 'o\'ur 100% $HOME "sites"'
    there.mkdir()
    line = entry(["echo", AWKWARD, "50%"], str(there), str(there / "log"))

    assert line.startswith("* * * * * ")
    # As cron does it: an escaped per cent sign stands for itself, an unescaped one ends the line.
    command = line.removeprefix("* * * * * ").replace("\\%", "\0")
    assert "%" not in command
    subprocess.run(["sh", "-c", command.replace("\0", "%")], check=True, cwd="/")
    assert (there / "log").read_text() == f"{AWKWARD} 50%\n"


@pytest.mark.parametrize("before", ["", "MAILTO=me\n# mine\n0 1 * * * backup 50\\%\n\n", "no end"])
def test_everything_else_in_a_crontab_stays_as_it_is(before):
    once = with_block(before, "/srv/a", "* * * * * one")
    twice = with_block(with_block(once, "/srv/b", "* * * * * two"), "/srv/a", "* * * * * three")

    assert with_block(once, "/srv/a", "* * * * * one") == once
    assert twice.startswith(before)
    assert twice.count("* * * * *") == 2
    assert without_block(without_block(twice, "/srv/a"), "/srv/b").rstrip("\n") == before.rstrip(
        "\n"
    )


@pytest.mark.skipif(not shutil.which("crontab"), reason="no cron on this machine")
def test_a_real_crontab_takes_the_line_and_gives_it_back(ops, here):
    if "no crontab for" not in _crontab("-l").stderr:
        pytest.skip("you have a crontab, which tests leave alone")
    own = "# my own\n0 1 * * * true\n"
    _crontab("-", own)
    try:
        first = here("schedule.install", "--cron")
        again = here("schedule.install", "--cron")
        during = _crontab("-l").stdout
        removed = here("schedule.install", "--cron", "--remove")
        after = _crontab("-l").stdout
        none = here("schedule.install", "--cron", "--remove")
    finally:
        _crontab("-r")

    assert first.status == 0, first
    assert first.out.startswith("installed: cron, each minute")
    assert again.out.startswith("already installed")
    assert during.startswith(own)
    (line,) = (line for line in during.splitlines() if "schedule.tick" in line)
    words = shlex.split(line.removeprefix("* * * * * "))
    assert {word for word in words if word.startswith("/")} == {
        str(ops), str(BIN / "opsplay"), str(ops / "inventory"), str(ops / ".opsplay"),
        str(ops / ".opsplay" / "schedule" / "tick.log"),
    }  # fmt: skip
    assert (after, removed.status) == (own, 0)
    assert none.out.startswith("already removed")


def _crontab(*words):
    *flags, text = words if words[0] == "-" else (*words, "")
    return subprocess.run(
        ["crontab", *flags], input=text, capture_output=True, encoding="utf-8", check=False
    )


def test_what_would_be_installed_can_be_seen_first(ops, here):
    text = here("schedule.install", "--cron", "--print")
    (data,) = messages(here("schedule.install", "--cron", "--print", "--json"))

    assert text.out.rstrip("\n") == data["text"].rstrip("\n")
    assert f"# BEGIN opsplay schedules of {ops}" in text.out
    assert not (ops / ".opsplay").exists()


def test_the_line_that_is_installed_does_a_tick(nightly, here):
    """Run by a shell in an environment as poor as cron's."""
    printed = here("schedule.install", "--cron", "--print").out
    (line,) = (line for line in printed.splitlines() if line.startswith("* "))
    (nightly / ".opsplay" / "schedule").mkdir()
    home = {"HOME": str(nightly), "PATH": "/usr/bin:/bin"}

    subprocess.run(
        ["/bin/sh", "-c", line.removeprefix("* * * * * ")], env=home, cwd="/", check=True
    )

    log = nightly / ".opsplay" / "schedule" / "tick.log"
    assert "night: due on shop" in log.read_text()
    notes, ends = nightly / "htdocs" / "hello.txt", time.monotonic() + 60
    while not notes.exists() and time.monotonic() < ends:
        time.sleep(0.1)
    assert notes.read_text() == "hello\n"


@pytest.mark.parametrize("directory", ["/srv/our-sites", "/srv/o'ur 100% $HOME sites"])
def test_the_units_say_what_is_called_where_and_when(directory):
    written = units(["/opt/opsplay", "schedule.tick", directory], directory)

    timer, service = sorted(written, key=lambda name: name.endswith(".service"))
    assert timer.removesuffix(".timer") == service.removesuffix(".service")
    assert "OnCalendar=*-*-* *:*:00" in written[timer]
    assert "KillMode=process" in written[service]
    assert f"WorkingDirectory={directory.replace('%', '%%')}\n" in written[service]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd on this machine")
def test_systemd_finds_nothing_wrong_with_the_units(tmp_path):
    place = tmp_path / "o'ur 100% sites"
    place.mkdir()
    texts = units([sys.executable, "schedule.tick", "--inventory", str(place)], str(place))
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    found = subprocess.run(
        ["systemd-analyze", "verify", *(str(tmp_path / name) for name in texts)],
        capture_output=True, encoding="utf-8", check=False, env=environment(tmp_path),
    )  # fmt: skip

    about_ours = [line for line in found.stderr.splitlines() if "opsplay" in line]
    assert about_ours == []


def test_a_password_in_the_journals_address_never_gets_into_a_timer(ops):
    options = Options(inventory=ops / "inventory", journal="postgresql://me:hunter2@db/ops")

    with pytest.raises(InvalidInput, match="holds a password") as refused:
        installing.timer(options, "cron")

    assert "hunter2" not in str(refused.value)
    fine = installing.timer(replace(options, journal="postgresql://me@db/ops"), "cron")
    assert "--journal postgresql://me@db/ops" in fine.line


def test_without_systemd_and_cron_nothing_is_claimed(ops, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)

    with pytest.raises(Exception, match="neither systemd nor cron"):
        installing.timer(Options(inventory=ops / "inventory", state=ops / ".opsplay"))


def test_a_log_that_has_grown_long_begins_anew(tmp_path):
    log = tmp_path / "tick.log"
    log.write_bytes(b"x" * (apart.MOST_LOG + 1))

    apart.trim(log)

    assert log.read_bytes() == b""
    assert (tmp_path / "tick.log.1").stat().st_size == apart.MOST_LOG + 1
    assert Path(apart.program()[0]).is_absolute()
