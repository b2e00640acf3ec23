"""What the wrappers add, and what they leave alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tenacity.stop import stop_after_attempt

from opsplay.core.environment import Host
from opsplay.core.errors import (
    HostKeyRefused,
    LineCut,
    LoginRefused,
    OpsplayError,
    Unreachable,
    WouldChange,
)
from opsplay.core.query import Answer
from opsplay.kit.clock import FrozenClock
from opsplay.kit.secret import Redactor
from opsplay.transports import Pool, open_transport
from opsplay.transports.dry import DryRun
from opsplay.transports.fake import FakeTransport, Talk
from opsplay.transports.record import Record
from opsplay.transports.redact import Redact
from opsplay.transports.retry import Retry

DOWN = Unreachable("no answer")
CUT = LineCut("cut")


class Told(list[tuple[OpsplayError, int, float]]):
    def __call__(self, error: OpsplayError, attempt: int, wait: float) -> None:
        self.append((error, attempt, wait))


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock(datetime(2026, 11, 22, tzinfo=UTC))


def test_an_unreachable_host_is_tried_again_and_each_time_is_told(clock):
    told = Told()
    fake = FakeTransport().on("true", DOWN, DOWN, "in")

    answer = Retry(fake, told, clock=clock).run("true")

    assert answer.stdout == "in"
    assert [(error, attempt) for error, attempt, _ in told] == [(DOWN, 1), (DOWN, 2)]
    waited = (clock.now() - datetime(2026, 11, 22, tzinfo=UTC)).total_seconds()
    assert waited == pytest.approx(sum(wait for *_, wait in told))
    assert 0.5 <= told[0][2] <= 1.0
    assert 1.0 <= told[1][2] <= 1.5


def test_attempts_are_limited_and_the_last_error_is_what_comes_out(clock):
    told = Told()
    fake = FakeTransport().on("true", DOWN)

    with pytest.raises(Unreachable) as caught:
        Retry(fake, told, clock=clock).open("true")
    assert caught.value is DOWN
    assert len(fake.scripts) == 4
    assert len(told) == 3


def test_a_host_that_was_heard_before_is_given_a_minute_to_come_back(clock):
    fake = FakeTransport().on("true", "in").on("look", *[DOWN] * 7, "back")
    retry = Retry(fake, Told(), clock=clock)
    retry.run("true")

    assert retry.run("look").stdout == "back"
    waited = (clock.now() - datetime(2026, 11, 22, tzinfo=UTC)).total_seconds()
    assert 20 <= waited <= 30


def test_who_is_in_a_hurry_tries_nothing_again(clock):
    fake = FakeTransport().on("true", DOWN)

    with pytest.raises(Unreachable):
        Retry(fake, Told(), clock=clock, hurried=lambda: True).run("true")
    assert fake.scripts == ["true"]


def test_the_limits_are_parameters(clock):
    fake = FakeTransport().on("true", DOWN)

    with pytest.raises(Unreachable):
        Retry(fake, Told(), stop=stop_after_attempt(2), clock=clock).run("true")
    assert len(fake.scripts) == 2


def test_after_a_cut_line_only_safe_scripts_are_run_again(clock):
    fake = FakeTransport().on("look", CUT, "seen").on("change", CUT, "twice")
    retry = Retry(fake, Told(), safe=lambda script: script == "look", clock=clock)

    assert retry.run("look").stdout == "seen"
    with pytest.raises(LineCut):
        retry.run("change")
    assert fake.scripts == ["look", "look", "change"]


@pytest.mark.parametrize("error", [HostKeyRefused("changed"), LoginRefused("no key")])
def test_what_a_person_must_decide_is_never_tried_again(error, clock):
    told = Told()
    fake = FakeTransport().on("true", error)

    with pytest.raises(type(error)):
        Retry(fake, told, safe=lambda _: True, clock=clock).run("true")
    assert fake.scripts == ["true"]
    assert told == []


def test_a_dry_run_lets_only_probes_through():
    fake = FakeTransport().on("", "seen")
    dry = DryRun(fake)
    dry.allow("cat version")

    assert dry.run("cat version").stdout == "seen"
    assert dry.open("cat version").finish().stdout == "seen"
    for call in (dry.run, dry.open):
        with pytest.raises(WouldChange, match="rm -rf"):
            call("rm -rf site")
    assert fake.scripts == ["cat version", "cat version"]


def test_a_probe_is_allowed_by_its_whole_text():
    dry = DryRun(FakeTransport().on("", "seen"))
    dry.allow("cat version")

    with pytest.raises(WouldChange):
        dry.run("cat version; rm -rf site")


def test_a_secret_is_hidden_in_every_answer_and_left_in_streams():
    fake = FakeTransport().on("", Talk(lambda _: Answer(1, "a canary-secret\n", "canary-secret!")))
    redact = Redact(fake, Redactor(["canary-secret"]))

    assert redact.run("x") == Answer(1, "a •••\n", "•••!")
    channel = redact.open("x")
    assert channel.receive_line() == b"a canary-secret\n"
    assert channel.finish() == Answer(1, "", "•••!")


def test_a_record_has_script_answer_and_duration_and_no_standard_input():
    exchanges: list[object] = []
    fake = FakeTransport().on("", lambda _script, stdin: Answer(0, f"{len(stdin)} bytes"))
    record = Record(fake, exchanges.append)
    record.run("login", stdin=b"canary-password")
    channel = record.open("login twice")
    channel.send(b"canary-password")
    channel.finish()
    channel.close()

    first, second = exchanges
    assert (first.script, first.answer, first.error) == ("login", Answer(0, "15 bytes"), "")
    assert (second.script, second.answer) == ("login twice", Answer(0, "15 bytes"))
    assert first.seconds >= 0
    assert "canary" not in repr(exchanges)


def test_a_record_tells_of_failures_and_of_channels_let_go():
    exchanges: list[object] = []
    fake = FakeTransport().on("down", DOWN).on("", "x")
    record = Record(fake, exchanges.append)
    for call in (record.run, record.open):
        with pytest.raises(Unreachable):
            call("down")
    record.open("long").close()

    assert [one.error for one in exchanges] == ["Unreachable: no answer"] * 2 + [""]
    assert [one.answer for one in exchanges] == [None] * 3


def test_wrappers_have_the_host_and_the_costs_of_what_they_wrap():
    fake = FakeTransport(Host("web1")).on("", "x")
    wrapped = Record(Redact(Retry(fake, Told()), Redactor()), lambda _: None)
    wrapped.run("true")
    wrapped.close()

    assert wrapped.host == Host("web1")
    assert wrapped.counters.round_trips == 1
    assert fake.closed


def test_a_pool_has_one_transport_a_host_and_closes_all():
    opened: dict[Host, FakeTransport] = {}

    def opener(host: Host) -> FakeTransport:
        opened[host] = FakeTransport(host).on("", "x")
        return opened[host]

    with Pool(opener) as pool:
        for name in ("a", "b", "a"):
            pool.get(Host(name)).run("true")
        costs = pool.counters

    assert sorted(host.address for host in opened) == ["a", "b"]
    assert (costs.connects, costs.round_trips) == (2, 3)
    assert all(fake.closed for fake in opened.values())


def test_the_host_decides_which_transport_it_gets():
    assert type(open_transport(Host("local"))).__name__ == "LocalTransport"
    assert type(open_transport(Host("web1"))).__name__ == "SshTransport"
