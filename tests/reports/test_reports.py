"""What a person sees, from hand-written journals. Golden texts are files a person can read."""

import json
import os
import re
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.reports.events import BROKEN, PLAN, RUN, START, Script, good_run, rolled_back_run

from opsplay.core.errors import ExitStatus, InvalidInput, Locked, OpsplayError, Problem
from opsplay.core.event import State
from opsplay.core.finding import Finding
from opsplay.core.retention import Fate, Held
from opsplay.core.snapshot import CmsFacts, HostFacts, Segment, Snapshot, Source, Stream
from opsplay.core.vault import StoredObject
from opsplay.core.verdict import Backup, Damage, Shelf, Verdict
from opsplay.engine.expire import Expiry
from opsplay.engine.expire_sweep import Going, Unclear
from opsplay.journal import RunSummary
from opsplay.kit.wording import size, span
from opsplay.reports.backups import (
    alarms_data,
    backups_data,
    backups_table,
    verdict_data,
    verdicts_text,
)
from opsplay.reports.doctor import findings_data, findings_text
from opsplay.reports.expiry import expiry_data, expiry_text
from opsplay.reports.json_lines import error_line, event_line, runs_data
from opsplay.reports.lines import Lines
from opsplay.reports.live import LiveView
from opsplay.reports.logs import Filter, followed, run_text, runs_table, since, verify_text
from opsplay.reports.picture import recorder, save_picture
from opsplay.reports.plan import plan_text
from opsplay.reports.story import tell
from opsplay.reports.summary import headline, next_commands, summary
from opsplay.reports.words import SYMBOLS, ago, first_line, from_to, state_text

GOLDEN = Path(__file__).parent / "golden"


def plain(what, width=200):
    console = Console(file=StringIO(), width=width, highlight=False)
    console.print(what, soft_wrap=True)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def lines_of(events):
    lines = Lines()
    return "".join(plain(lines.render(line)) for event in events for line in lines.of(event))


def equals_golden(name, text):
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("OPSPLAY_WRITE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("lines-good", lambda: lines_of(good_run())),
        ("lines-rolled-back", lambda: lines_of(rolled_back_run())),
        ("summary-good", lambda: plain(summary(tell(good_run())))),
        ("summary-rolled-back", lambda: plain(summary(tell(rolled_back_run())))),
        ("summary-cut", lambda: plain(summary(tell(good_run()[:12])))),
        ("run-good", lambda: plain(run_text(tell(good_run())))),
        ("run-rolled-back", lambda: plain(run_text(tell(rolled_back_run())))),
        ("plan", lambda: plain(plan_text([PLAN, BROKEN], {"web1:2201": 1}))),
        ("plan-diff", lambda: plain(plan_text([PLAN], {"web1:2201": 1}, diff=True))),
    ],
)
def test_a_report_reads_as_a_person_has_seen_and_approved_it(name, text):
    assert equals_golden(name, text())


def test_every_state_has_a_word_and_a_symbol_of_its_own():
    assert set(SYMBOLS) == set(State)
    assert len(set(SYMBOLS.values())) == len(State)
    assert state_text("failed", padded=False).plain == "✗ failed"


def test_a_summary_says_how_long_visitors_were_kept_out():
    text = plain(summary(tell(good_run())))

    assert "visitors were kept out for 6.2 s" in text
    assert "WordPress       6.4.5 → 6.5.5" in text


def test_what_was_taken_back_is_not_told_as_lasting():
    story = tell(rolled_back_run())

    assert story.sites["bakery"].lasting == ()
    assert story.sites["bakery"].put_back == ("WordPress (back to 6.4.5)",)
    assert "6.5.5" not in plain(summary(story))


def test_the_last_twenty_lines_of_a_failure_are_shown():
    text = plain(summary(tell(rolled_back_run())))

    assert "line 25\n" in text
    assert "line 6\n" in text
    assert "line 5\n" not in text


def test_a_site_that_failed_before_any_step_says_state_and_next_command():
    play = Script()
    play.start("bakery")
    refused = Locked("held by run A", state="nothing changed", next_command="invoke resume A")
    play("site_finished", "bakery", state="failed", detail=str(refused), exit_status=6)

    text = plain(summary(tell(play.finish(6, "failed"))))

    assert "held by run A" in text
    assert "    state: nothing changed\n    try: invoke resume A\n" in text


@pytest.mark.parametrize("status", list(ExitStatus))
def test_after_every_ending_there_is_a_next_command(status):
    events = list(good_run())
    data = {**events[-1].data, "exit_status": int(status)}
    story = tell([*events[:-1], type(events[-1])(**{**vars(events[-1]), "data": data})])

    assert RUN in next_commands(story)[0]
    assert (status.meaning if status else "done") in plain(summary(story))


def test_an_undo_that_fails_is_told_as_failed():
    events = list(rolled_back_run())
    index = next(n for n, event in enumerate(events) if event.kind == "undo_result")
    failed = {**events[index].data, "outcome": "failed", "detail": "disk full"}
    events[index] = type(events[index])(**{**vars(events[index]), "data": failed})

    assert "not taken back: restore point" in lines_of(events)
    assert tell(events).sites["bakery"].put_back == ()


def test_a_resumed_run_has_no_ending_yet():
    events = good_run()
    resumed = type(events[0])(99, RUN, START, "run_resumed", "", {}, "", "")

    story = tell([*events, resumed])

    assert story.exit_status is None
    assert "goes on" in lines_of([resumed])


def test_a_headline_counts_sites_by_state():
    assert headline(tell(good_run())) == "2 sites: 1 changed, 1 ok"


class Terminal(Console):
    """A terminal that keeps what it is sent."""

    def __init__(self, **options):
        super().__init__(
            file=StringIO(), force_terminal=True, width=90, height=12, highlight=False,
            color_system="standard", **options,
        )  # fmt: skip

    def moving(self, view):
        probe = Console(file=StringIO(), width=90, height=12, highlight=False)
        probe.print(view)
        return probe.file.getvalue()


def test_a_terminal_shows_what_is_being_done_and_how_far_it_is():
    terminal, seconds = Terminal(), iter(range(100))
    view = LiveView(terminal, monotonic=lambda: float(next(seconds)))

    with view:
        for event in good_run()[:6]:
            view.heard(event)
        view.progress("bakery", "upload", 120_000_000, 480_000_000)
        shown = terminal.moving(view)

    assert "▸ bakery" in shown
    assert "Protect › backup  upload" in shown
    assert "25%" in shown
    assert "120.0 MB of 480.0 MB" in shown
    assert re.search(r"\d+\.0 s", shown)


def test_finished_work_leaves_the_moving_part():
    view = LiveView(terminal := Terminal())

    with view:
        for event in good_run():
            view.heard(event)

        assert "▸" not in terminal.moving(view)


def test_progress_without_a_known_end_shows_what_is_done():
    view = LiveView(terminal := Terminal())

    with view:
        for event in good_run()[:6]:
            view.heard(event)
        view.progress("bakery", "dump", 1_000_000, 0)
        view.progress("nobody", "dump", 1, 2)

        assert "1.0 MB" in terminal.moving(view)


def test_more_sites_than_the_window_holds_are_counted():
    view = LiveView(terminal := Terminal())
    first = good_run()[5]

    with view:
        for number in range(30):
            site = f"site-{number:02}"
            view.heard(type(first)(number, RUN, START, "step_started", site, first.data, "", ""))
        shown = terminal.moving(view)

    assert "… and 22 more sites" in shown


def test_undo_and_brackets_are_shown_while_they_are_under_way():
    events = rolled_back_run()
    view = LiveView(terminal := Terminal())
    shown = []

    with view:
        for event in events:
            view.heard(event)
            shown.append(terminal.moving(view))

    assert any("rolling back  restore point" in text for text in shown)


def test_a_question_may_be_asked_in_between():
    view = LiveView(terminal := Terminal())

    with view:
        with view.paused():
            terminal.print("Go on?")
        view.say("stopping")

    assert "Go on?" in terminal.file.getvalue()
    assert "stopping" in terminal.file.getvalue()


def test_a_pipe_gets_lines_without_colour_or_movement():
    console = Console(file=StringIO(), width=200, highlight=False)

    with LiveView(console) as view:
        for event in good_run():
            view.heard(event)
            view.progress("bakery", "upload", 1, 2)
        with view.paused():
            pass

    assert "\x1b" not in console.file.getvalue()
    assert console.file.getvalue() == (GOLDEN / "lines-good.txt").read_text(encoding="utf-8")


def test_several_threads_may_report_at_once():
    console = Console(file=StringIO(), width=200, highlight=False)
    view = LiveView(console)

    def report():
        for event in good_run():
            view.heard(event)

    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert console.file.getvalue().count("exit status 0") == 4


def test_logs_are_narrowed_by_site_state_and_text():
    good, bad = tell(good_run()), tell(rolled_back_run())

    assert "flower-shop" not in plain(run_text(good, Filter(site="bakery")))
    assert "backup" not in plain(run_text(good, Filter(grep="AKISMET")))
    assert "2 steps not shown" in plain(run_text(good, Filter(grep="akismet")))
    assert "cms_update" not in plain(run_text(bad, Filter(failed=True)))
    assert "smoke_test" not in plain(run_text(bad, Filter(changed=True)))


def test_events_are_narrowed_likewise():
    lines = Lines()
    shown = followed(rolled_back_run(), lines, Filter(site="bakery", failed=True))
    text = "\n".join(line.plain for line in shown)

    assert "smoke_test" in text
    assert "cms_update" not in text


NOW = START + timedelta(hours=3)
SUMMARIES = (
    RunSummary(RUN, START, START + timedelta(seconds=22), "Monthly update",
               ("bakery", "flower-shop", "a", "b"), "changed", 0),
    RunSummary("20261122T070000-000000", NOW, None, "Backup", ("bakery",), "unfinished", None),
)  # fmt: skip


def test_the_list_of_runs_begins_with_the_newest():
    text = plain(runs_table(SUMMARIES, NOW))

    assert text.index("20261122T07") < text.index(RUN)
    assert "3 h ago" in text
    assert "22.0 s" in text
    assert "bakery, flower-shop, a +1" in text
    assert "under way, or cut short" in text
    assert "▲ changed" in text
    assert plain(runs_table((), NOW)).startswith("no runs yet")


def test_runs_are_narrowed_by_time_site_and_ending():
    assert since(SUMMARIES, START + timedelta(hours=1)) == SUMMARIES[1:]
    assert since(SUMMARIES, None) == SUMMARIES
    assert [Filter(failed=True).lets_run(run) for run in SUMMARIES] == [False, True]
    assert [Filter(changed=True).lets_run(run) for run in SUMMARIES] == [True, False]
    assert [Filter(site="a").lets_run(run) for run in SUMMARIES] == [True, False]
    assert [Filter(grep="backup").lets_run(run) for run in SUMMARIES] == [False, True]


def test_a_changed_journal_is_told_with_its_first_bad_event():
    event = good_run()[3]

    assert "4 (backup" not in plain(verify_text(None, 12))
    assert plain(verify_text(None, 12)).startswith("✓ ok: 12 events")
    assert f"event 4 ({event.kind}, run {RUN}" in plain(verify_text(event, 12))


def snapshot(site, snap, minutes, label=""):
    sealed = START + timedelta(minutes=minutes)
    stream = Stream("database", "db", "zstd", 1, "", {}, True, (Segment("k", 4_200_000, "0"),))
    return Snapshot(
        site, "production", snap, "2026-11", "full", RUN, "0.1.0", sealed, sealed,
        HostFacts("web1", "Linux", {}), CmsFacts("wordpress", "http://x", "6.4.5"),
        Source("/srv"), (), (stream,), ("database",), "", label,
    )  # fmt: skip


def shelf(site, *found, **changes):
    signed = changes.pop("signer", "ssh-ed25519 AAAA")
    backups = tuple(Backup(one, "0" * 64, one.sealed_at, signed, **changes) for one in found)
    return Shelf(site, "business", backups)


def test_backups_are_listed_by_site_with_the_newest_first():
    found = [
        shelf("b", snapshot("b", "1", 0)),
        shelf("a", snapshot("a", "2", 1), snapshot("a", "3", 2, "before-update")),
    ]

    text = plain(backups_table(found, NOW))
    data = backups_data(found)

    assert text.index(" 3 ") < text.index(" 2 ") < text.index(" 1 ")
    assert "4.2 MB" in text
    assert "wordpress 6.4.5" in text
    assert "before-update" in text
    assert "never" in text
    assert [(one["site"], one["snapshot"]) for one in data] == [("a", "3"), ("a", "2"), ("b", "1")]
    json.dumps(data)
    assert plain(backups_table((), NOW)).startswith("no backups yet")


def test_what_is_wrong_with_backups_stands_below_them():
    broken = Verdict("a", "2", "0" * 64, 2, NOW, (Damage("v1/a/k", "is missing"),))
    good = Verdict("a", "3", "0" * 64, 2, NOW - timedelta(days=3))
    found = [
        shelf("a", snapshot("a", "2", 1), verdicts=(broken,)),
        shelf("b", snapshot("b", "3", 2), verdicts=(good,), doubt="is not signed by us"),
        Shelf("c", "business", (), alarms=("there is no good backup",)),
    ]

    text = plain(backups_table(found, NOW))

    assert "DAMAGED" in text
    assert "a: v1/a/k is missing" in text
    assert "level 2, 3 d " in text
    assert "DOES NOT COUNT: it is not signed by us" in text
    assert "c: there is no good backup" in text
    assert alarms_data(found) == [{"site": "c", "told": "there is no good backup"}]
    told = plain(verdicts_text("a", [broken, good], ()))
    assert "v1/a/k is missing" in told
    assert "1 of 2 backups damaged" in told
    assert verdict_data(broken)["good"] is False


def test_the_list_of_backups_fits_eighty_columns_and_cuts_nothing():
    lock, before = NOW + timedelta(days=35), NOW - timedelta(days=399)
    wide = snapshot("a", "20261122T053107-3f9a1c", 1)
    old = replace(wide, started_at=before, suspect=("2410 files no longer compress",), label="\x1b")
    proved = Verdict("a", wide.snap, "0" * 64, 2, before)
    found = [shelf("a", old, wide, verdicts=(proved,), lock=lock, doubt="is not signed by us")]
    console = Console(file=StringIO(), width=80, highlight=False)

    console.print(backups_table(found, NOW))

    lines = [line.rstrip() for line in console.file.getvalue().splitlines()]
    assert max(map(len, lines)) <= 80
    assert len([one for one in lines if wide.snap in one and one.endswith(f"{lock:%Y-%m-%d}")]) == 2
    assert "    SUSPECT: 2410 files no longer compress" in lines
    assert "    database only, ?" in lines, "a forged label commands no terminal"


def test_an_expiry_tells_what_goes_and_what_stays_and_why():
    one, other = snapshot("a", "2", 1), snapshot("a", "3", 2)
    held = Held("k", "production", frozenset({"database"}), full=True, stored=NOW)
    stays = Fate(held, stays=True, why="it is younger than 35 days", until=NOW + timedelta(days=1))
    goes = Fate(held, stays=False, why="its time is over")
    backups = [replace(shelf("a", one).backups[0], fate=fate) for fate in (goes, stays)]
    backups.append(shelf("a", other).backups[0])
    free = [Going(StoredObject("v1/a/x", 4_200_000), "no backup needs it")]

    doubt = Unclear(Damage("v1/a/m", "is hidden"), NOW)
    told = Expiry("a", (), (), unclear=(doubt,), unknown=("v1/a/y",)).remarks
    text = plain(expiry_text("a", backups, free, [replace(free[0], locked_until=NOW)], told))
    data = expiry_data(backups, free)

    assert "goes   a  2  its time is over" in text
    assert "stays  a  2  it is younger than 35 days (until" in text
    assert "1 object to go, 4.2 MB; 1 object nobody needs" in text
    assert "v1/a/m is hidden: everything of its month stays" in text
    assert [row["stays"] for row in data["backups"]] == [False, True]
    json.dumps(data)


def test_json_says_what_kind_of_message_it_is():
    event = json.loads(event_line(good_run()[0]))
    assert (event["message_type"], event["kind"]) == ("event", "run_started")
    assert datetime.fromisoformat(event["at"]) == START

    problem = Problem("update.yaml", 3, 5, "'stge' is not known here", "did you mean 'stage'?")
    error = json.loads(error_line(InvalidInput([problem])))
    assert (error["message_type"], error["code"]) == ("exit_error", 2)
    assert error["problems"][0]["line"] == 3

    locked = json.loads(error_line(Locked("held", site="bakery", next_command="invoke logs")))
    assert (locked["code"], locked["site"], locked["try"]) == (6, "bakery", "invoke logs")
    assert runs_data(SUMMARIES)[1]["finished"] is None


def test_findings_are_shown_with_what_to_do():
    findings = (
        Finding("web1", True, "answers, and has every tool"),
        Finding("vault offsite", False, "no answer", fix="look at endpoint"),
    )

    text = plain(findings_text(findings))

    assert "✗ failed" in text
    assert "fix: look at endpoint" in text
    assert "1 thing to fix" in text
    assert "everything is in order" in plain(findings_text(findings[:1]))
    assert [one["good"] for one in findings_data(findings)] == [True, False]


def test_a_picture_is_the_same_every_time(tmp_path):
    pictures = []
    for number in (1, 2):
        console = recorder(StringIO())
        console.print(summary(tell(good_run())))
        path = save_picture(console, tmp_path / "images" / f"{number}.svg", "opsplay run")
        pictures.append(path.read_bytes())

    assert pictures[0] == pictures[1]
    assert b"<svg" in pictures[0]
    assert "→".encode() in pictures[0]


def test_a_plan_without_changes_says_so():
    calm = {**PLAN, "stages": []}

    assert "✓ nothing to change" in plain(plan_text([calm], {}))
    assert "1 site could not be planned" in plain(plan_text([PLAN, BROKEN], {}))
    assert "4 changes pending on 1 site" in plain(plan_text([PLAN], {}))


def test_words_for_lengths_sizes_and_times():
    assert (span(59.96), span(60), size(999_999_999_999_999)) == (
        "60.0 s",
        "1 min 00 s",
        "1000.0 TB",
    )
    assert ago(NOW, NOW) == "just now"
    assert ago(NOW - timedelta(days=5), NOW) == "5 d ago"
    assert from_to("file", "a\nb", "") == "file: 2 lines goes"
    assert first_line("x" * 300).endswith("x …")
    assert first_line("") == ""
    assert str(OpsplayError("x")) == "x"
    assert UTC is START.tzinfo


def test_a_difference_is_shown_for_diff_alone():
    change = {"what": "file robots.txt", "before": "4 bytes (sha256 ab…)", "after": "5 bytes"}
    change |= {"difference": "--- before\n+++ after\n-old\n+new"}
    step = {"state": "changed", "name": "file", "changes": [change]}
    plan = {"site": "bakery", "stages": [{"stage": "A", "environment": "x", "steps": [step]}]}

    assert "+new" in plain(plan_text([plan], {}, diff=True))
    assert "+new" not in plain(plan_text([plan], {}))
