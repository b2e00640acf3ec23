"""Hand-written journals of runs, as the engine writes them."""

from datetime import UTC, datetime, timedelta

from opsplay.core.event import Event

START = datetime(2026, 11, 22, 5, 31, 7, tzinfo=UTC)
RUN = "20261122T053107-3f9a1c"


class Script:
    """Writes events one after another; each is one second later."""

    def __init__(self):
        self.events = []
        self.steps = 0
        self.now = START

    def __call__(self, kind, site="", /, **data):
        self.now += timedelta(seconds=1 if self.events else 0)
        sequence = len(self.events) + 1
        self.events.append(Event(sequence, RUN, self.now, kind, site, data, "", f"{sequence:064}"))
        return sequence

    def start(self, *sites):
        self("run_started", playbook="Monthly update", sites=list(sites), command="run")

    def stage(self, site, stage, environment):
        self("stage_started", site, stage=stage, environment=environment)

    def step(self, site, stage, environment, kind, *changes, state="changed", detail=""):
        place = {"stage": stage, "step": self.steps, "kind": kind}
        self.steps += 1
        self("step_started", site, **place, name=kind)
        intents = []
        for what, before, after, outcome, facts in changes:
            intent = self(
                "intent", site, **place, change=0, attempt=1, what=what, before=before, after=after,
                key=what, loses="", covered=kind.endswith("_update"), environment=environment,
                action={"action": "Visit" if kind == "smoke_test" else "Shell"},
            )  # fmt: skip
            intents.append(intent)
            self("result", site, intent=intent, outcome=outcome,
                 detail=detail if outcome == "failed" else "", facts=facts, seconds=1.2)  # fmt: skip
        self("step_finished", site, **place, name=kind, state=state, detail=detail,
             changes=[{} for _ in changes], seconds=2.5)  # fmt: skip
        return intents

    def finish(self, status, state, **round_trips):
        self("run_finished", exit_status=status, state=state, round_trips=round_trips)
        return tuple(self.events)


def good_run():
    """One site updated, another with nothing to do."""
    play = Script()
    play.start("flower-shop", "bakery")
    play("site_started", "bakery")
    play("site_started", "flower-shop")
    play.stage("bakery", "Protect", "production")
    snapshot = {"snapshot": "20261122T053108Z-3f9a1c", "bytes": 8_400_000}
    play.step("bakery", "Protect", "production", "backup", ("backup", "", "", "done", snapshot))
    play.stage("bakery", "Publish", "production")
    play("bracket_opened", "bakery", bracket="maintenance", environment="production", seconds=0.3)
    update = ("WordPress", "6.4.5", "6.5.5", "done", {})
    play.step("bakery", "Publish", "production", "cms_update", update)
    play("retry", "bakery", step=1, error="Unreachable:\n 503", attempt=1, wait_seconds=5)
    modules = ("plugin akismet", "5.0.2", "5.7.2", "done", {})
    play.step("bakery", "Publish", "production", "module_update", modules)
    play("bracket_closed", "bakery", bracket="maintenance", environment="production", seconds=6.24)
    play("site_finished", "bakery", state="changed", detail="", downtime_seconds=6.24)
    play("site_finished", "flower-shop", state="ok", detail="unchanged", downtime_seconds=0)
    return play.finish(0, "changed", **{"web1:2201": 31, "web2:2202": 2})


def rolled_back_run():
    """A plugin kills the site in production; all is taken back."""
    play = Script()
    play.start("bakery")
    play.stage("bakery", "Publish", "production")
    play("bracket_opened", "bakery", bracket="maintenance", environment="production", seconds=0.3)
    saved = play("bracket_opened", "bakery", bracket="restore point", environment="production")
    play.step(
        "bakery", "Publish", "production", "cms_update", ("WordPress", "6.4.5", "6.5.5", "done", {})
    )
    output = "\n".join(f"line {number}" for number in range(1, 26))
    play.step("bakery", "Publish", "production", "smoke_test",
              ("pages", "", "", "failed", {}), state="failed", detail=output)  # fmt: skip
    play(
        "rollback_started",
        "bakery",
        reason="/ answers 500 instead of 200",
        environment="production",
    )
    play("undo_intent", "bakery", of=saved, what="restore point", environment="production")
    play("undo_result", "bakery", of=saved, outcome="done", detail="", seconds=1.4)
    play("rollback_finished", "bakery", state="rolled-back", detail="/ answers 500 instead of 200")
    play("bracket_closed", "bakery", bracket="maintenance", environment="production", seconds=9.1)
    play("site_finished", "bakery", state="rolled-back",
         detail="/ answers 500 instead of 200", downtime_seconds=9.1)  # fmt: skip
    return play.finish(3, "rolled-back", **{"web1:2201": 40})


PLAN = {
    "site": "bakery",
    "error": "",
    "pending": True,
    "stages": [
        {
            "stage": "Protect", "environment": "production", "pending": True, "not_needed": "",
            "steps": [
                {"step": 0, "kind": "backup", "name": "backup", "state": "changed", "skipped": "",
                 "later": "", "changes": [{"what": "backup of database, files", "before": "",
                 "after": "", "loses": "", "observes": False}]},
            ],
        },
        {
            "stage": "Publish", "environment": "production", "pending": True, "not_needed": "",
            "steps": [
                {"step": 0, "kind": "cms_update", "name": "cms_update", "state": "changed",
                 "skipped": "", "later": "", "changes": [{"what": "WordPress", "before": "6.4.5",
                 "after": "6.5.5", "loses": "what the new version wrote", "observes": False}]},
                {"step": 1, "kind": "file", "name": "robots.txt", "state": "changed",
                 "skipped": "", "later": "", "changes": [{"what": "file robots.txt",
                 "before": "User-agent: *\nAllow: /\n", "after": "User-agent: *\nDisallow: /\n",
                 "loses": "", "observes": False}]},
                {"step": 2, "kind": "smoke_test", "name": "smoke_test", "state": "ok",
                 "skipped": "", "later": "", "changes": [{"what": "2 pages", "before": "",
                 "after": "", "loses": "", "observes": True}]},
                {"step": 3, "kind": "command", "name": "purge", "state": "skipped",
                 "skipped": "not tagged core", "later": "", "changes": []},
                {"step": 4, "kind": "command", "name": "report", "state": "changed",
                 "skipped": "", "later": "depends on the result of an earlier step",
                 "changes": []},
            ],
        },
        {
            "stage": "Tidy", "environment": "staging", "pending": False,
            "not_needed": "Publish has nothing to change", "steps": [],
        },
    ],
}  # fmt: skip
BROKEN = {"site": "crypt", "error": "crypt: host web9 does not answer\ntry: ssh web9",
          "pending": False, "stages": []}  # fmt: skip
