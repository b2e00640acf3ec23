"""From a model to a plan, with hosts made of answers."""

from __future__ import annotations

import re

import pytest

from opsplay import cms, steps
from opsplay.app.workshop import _Language as Language
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import InvalidInput, StepFailed, Unreachable, UnreadableAnswer
from opsplay.core.event import State
from opsplay.core.query import Answer
from opsplay.core.site import Site
from opsplay.engine.plan import to_data
from opsplay.engine.planner import plan_sites, rehearsal_of, wishes_of
from opsplay.language import playbook_from_text
from opsplay.steps.backup import Backup
from opsplay.steps.cms_update import CmsUpdate
from opsplay.transports import Pool
from opsplay.transports.fake import FakeTransport

steps.load()
cms.load()

UPDATE = """\
name: Update
stages:
  - name: Protect
    prepares: Publish
    steps: [{backup: {}}]
  - name: Rehearse
    environment: staging
    prepares: Publish
    steps:
      - staging_clone: {from: production}
      - cms_update: {to: latest}
      - smoke_test: {}
  - name: Publish
    steps:
      - cms_update: {to: rehearsed}
      - smoke_test: {}
"""


def book(text):
    return playbook_from_text(text, "book.yaml")


def one_stage(*lines, head="", stage=""):
    steps_ = "\n".join(f"      - {line}" for line in lines)
    return book(f"name: One\n{head}stages:\n  - name: Work\n{stage}    steps:\n{steps_}\n")


def site(name="bakery", host="web1", staging="web1", **facts):
    places = {
        "production": Environment("production", Host(host), f"/srv/{name}", "http://p.example"),
        "staging": Environment(
            "staging", Host(staging), f"/srv/{name}-staging", "http://s.example"
        ),
    }
    return Site(name, "paper-test-cms", places, vault="here", **facts)


_PART = r"\n\( (.*?)\n\) </dev/null; (?:answered|opsplay_n=\$\(\(opsplay_n\+(\d+))"


class Hosts:
    """Fake hosts that answer each question of a bundle by the first pattern in it that fits."""

    def __init__(self, **answers):
        self.answers = {"root=": Answer(0, "1.0\n1.0\n")} | answers
        self.pool = Pool(lambda host: FakeTransport(host).on("", self.reply))

    def __call__(self, host):
        return self.pool.get(host)

    def reply(self, script, _stdin):
        mark = re.search(r"opsplay-[0-9a-f]{32}", script)[0]
        parts = re.findall(_PART, script, re.DOTALL)
        found = [self.answer(part) for part, count in parts for _ in range(int(count or 1))]
        out, bad = (
            "".join(
                f"{text}\n{mark} {number} {one.exit_status}\n"
                for number, one in enumerate(found)
                for text in [getattr(one, stream)]
            )
            for stream in ("stdout", "stderr")
        )
        return Answer(0, out, bad)

    def answer(self, part):
        return next(one for pattern, one in reversed(self.answers.items()) if pattern in part)


def plan(playbook, *sites, hosts=None, tags=()):
    return plan_sites(playbook, sites or [site()], Language("."), hosts or Hosts(), tags)


def states(site_plan):
    return [[str(step.state) for step in stage.steps] for stage in site_plan.stages]


def test_what_is_offered_is_planned_on_every_environment_before_anything_runs():
    found = plan(UPDATED, hosts=Hosts(**{"root=": Answer(0, "1.0\n1.0\n2.0\n")})).sites[0]

    assert states(found) == [["changed"], ["changed", "changed", "ok"], ["changed", "ok"]]
    publish = found.stages[2].steps[0]
    assert [(one.before, one.after) for one in publish.changes] == [("1.0", "2.0")]
    assert found.pending


UPDATED = book(UPDATE)


def test_nothing_to_publish_means_nothing_to_protect_and_nothing_to_rehearse():
    found = plan(UPDATED).sites[0]

    assert not found.pending
    assert [bool(stage.not_needed) for stage in found.stages] == [True, True, False]
    assert {one["state"] for one in to_data(found)["stages"][0]["steps"]} == {"ok"}
    assert to_data(found)["stages"][0]["steps"][0]["changes"] == []


def test_preparations_of_preparations_are_left_out_too():
    chain = UPDATE.replace(
        "prepares: Publish\n    steps: [{backup", "prepares: Rehearse\n    steps: [{backup"
    )

    found = plan(book(chain)).sites[0]

    assert chain != UPDATE
    assert found.stages[0].not_needed == "Rehearse has nothing to change"


def test_a_clone_is_looked_at_as_what_will_be_copied():
    wishes = wishes_of(UPDATED, site(), Language("."))

    assert [wish.view for wish in wishes[1]] == ["staging", "production", "production"]
    assert [wish.view for wish in wishes[2]] == ["production", "production"]
    broken_staging = Hosts(**{"/srv/bakery-staging": Answer(1, "", "no CMS there yet")})
    assert plan(UPDATED, hosts=broken_staging).errors == ()


def test_rehearsed_is_forecast_as_the_rehearsal_was_wished():
    wish = wishes_of(UPDATED, site(), Language("."))[2][0]

    assert (wish.step, wish.forecast) == (CmsUpdate(to="rehearsed"), CmsUpdate(to="latest"))


def test_a_rehearsal_is_the_last_step_of_its_kind_elsewhere():
    first, last = CmsUpdate(to="minor"), CmsUpdate(to="latest")
    earlier = [("staging", first), ("staging", last), ("staging", Backup()), ("production", first)]

    assert rehearsal_of("cms_update", "production", earlier) is last
    assert rehearsal_of("cms_update", "staging", earlier[:2]) is None
    assert rehearsal_of("backup", "staging", earlier) is None


@pytest.mark.parametrize("count", [1, 40])
def test_a_plan_costs_one_round_trip_a_host(count):
    sites = [site(f"shop-{n}", f"web{n % 2}", "web9") for n in range(count)]

    found = plan(UPDATED, *sites)

    assert set(found.round_trips.values()) == {1}
    assert len(found.round_trips) == min(count, 2)
    assert [one.site.name for one in found.sites] == [one.name for one in sites]


def test_a_plan_names_the_hosts_that_it_changes_first():
    changes = one_stage("command: {run: x}")
    sites = [site(f"shop-{n}", f"web{n % 2}", "web9") for n in range(3)]

    assert plan(changes, *sites).next_hosts == (Host("web0"), Host("web1"))
    assert plan(UPDATED, *sites).next_hosts == ()


def test_waiting_for_hosts_is_time_for_other_things():
    done: list[str] = []

    plan_sites(UPDATED, [site()], Language("."), Hosts(), meanwhile=lambda: done.append("work"))

    assert done == ["work"]


def test_steps_that_ask_nothing_cost_nothing():
    found = plan(one_stage("command: {run: x}", "backup: {}"))

    assert found.round_trips == {}
    assert found.pending


def test_a_host_that_is_away_marks_only_its_own_sites():
    hosts = Hosts()
    hosts(Host("web2")).unreachable = True

    found = plan(UPDATED, site("a"), site("b", "web2"), site("c"), hosts=hosts)

    assert [type(one.error) for one in found.sites] == [type(None), Unreachable, type(None)]
    assert found.errors == (found.sites[1].error,)
    assert to_data(found.sites[1])["error"]
    assert not found.sites[1].pending


def test_a_host_that_is_silent_counts_as_away():
    from opsplay.transports.fake import Talk

    slow = FakeTransport(Host("web1")).on("", Talk(seconds=9999))

    (error,) = plan(UPDATED, hosts=lambda _host: slow).errors
    assert isinstance(error, Unreachable)
    assert "did not answer within 300 s" in str(error)


def test_a_site_that_answers_nonsense_marks_only_itself():
    hosts = Hosts(**{"/srv/b\n": Answer(0, "?"), "/srv/b": Answer(0, "?")})

    found = plan(UPDATED, site("a"), site("b"), site("c"), hosts=hosts)

    assert [type(one.error) for one in found.sites] == [type(None), UnreadableAnswer, type(None)]


def test_what_a_step_refuses_is_the_error_of_its_site_alone():
    playbook = one_stage("staging_clone: {from: staging}", stage="    environment: staging\n")

    (error,) = plan(playbook).errors
    assert isinstance(error, StepFailed)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ((), ["changed", "changed", "changed"]),
        (("a",), ["changed", "skipped", "changed"]),
        (("b", "x"), ["skipped", "changed", "changed"]),
        (("stage",), ["changed", "changed", "changed"]),
        (("x",), ["skipped", "skipped", "changed"]),
    ],
)
def test_only_what_is_tagged_is_done(tags, expected):
    playbook = one_stage(
        "{command: {run: x}, tags: [a]}", "{command: {run: x}, tags: [b]}",
        "{command: {run: x}, tags: [always]}", stage="    tags: [stage]\n",
    )  # fmt: skip

    assert states(plan(playbook, tags=tags).sites[0]) == [expected]


def test_when_decides_site_by_site():
    playbook = one_stage("{command: {run: x}, when: 'site.name == \"b\"'}")

    found = plan(playbook, site("a"), site("b"))

    assert [states(one) for one in found.sites] == [[["skipped"]], [["changed"]]]
    assert found.sites[0].stages[0].steps[0].skipped == 'when: site.name == "b"'


def test_a_stage_whose_when_does_not_hold_is_left_out():
    found = plan(one_stage("command: {run: x}", stage="    when: site.cms == 'other'\n"))

    assert states(found.sites[0]) == [["skipped"]]
    assert not found.pending


def test_what_depends_on_a_result_is_known_only_later():
    playbook = one_stage(
        "{command: {run: x, unless: 'true'}, register: out}",
        "{command: {run: '{{ out.output }}'}}",
        "{command: {run: x}, when: out.state == 'changed'}",
        "{file: {path: x, content: '1.0'}, when: site.name == 'nobody'}",
    )

    stage = plan(playbook, hosts=Hosts(**{"cd /srv": Answer(0)})).sites[0].stages[0]

    assert [bool(step.later) for step in stage.steps] == [False, True, True, False]
    assert [str(step.state) for step in stage.steps] == ["ok", "changed", "changed", "skipped"]
    assert stage.pending


def test_a_word_that_happens_to_hold_a_registered_name_depends_on_nothing():
    playbook = one_stage(
        "{command: {run: x, unless: y}, register: run}",
        "{command: {run: rerun, unless: y}, name: run}",
        "{command: {run: '{{ site.name }} runs run', unless: y}}",
        "{command: {run: '{{ run.output }}', unless: y}}",
    )

    stage = plan(playbook, hosts=Hosts(**{"cd /srv": Answer(0)})).sites[0].stages[0]

    assert [bool(step.later) for step in stage.steps] == [False, False, True, True]


def test_a_setting_that_cannot_be_built_is_named_with_its_place():
    with pytest.raises(InvalidInput, match=r"book\.yaml:5:"):
        plan(one_stage("command: {run: '{{ nobody }}'}"))


def test_the_same_question_of_two_steps_is_asked_once():
    hosts = Hosts()
    plan(one_stage("cms_update: {}", "cms_update: {to: latest}", "module_update: {}"), hosts=hosts)

    (script,) = hosts(Host("web1")).scripts
    assert script.count("root=/srv/bakery") == 1


def test_the_plan_keeps_the_answers_for_the_run():
    known = plan(UPDATED).sites[0].known

    assert {(one.site, one.environment) for one in known} == {("bakery", "production")}


def test_a_check_shows_a_smoke_test_as_ok():
    step = plan(one_stage("smoke_test: {}")).sites[0].stages[0].steps[0]

    assert (step.state, step.pending, len(step.changes)) == (State.OK, False, 1)
