"""What every transport promises; each kind runs this suite."""

from __future__ import annotations

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import strategies as st

from opsplay.core.query import Answer
from opsplay.core.transport import Transport
from opsplay.kit import shell
from opsplay.transports.streams import STDERR_KEPT

BINARY = bytes(range(256)) * 20_000  # 5 MB

ANY_WORDS = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5
)

# The scripts of the part that a fake must pass too: it answers these very texts.
BOTH = "echo out; echo err >&2; exit 3"
NOTHING = ""
ECHO = "cat"
DIGEST = "sha256sum | cut -d ' ' -f 1"
PING_PONG = 'while read -r word; do echo "pong $word"; done'
DEAF = "exec <&-; sleep 0.2; exit 5"
SLOW = "sleep 3"
TWO_LINES = r"printf 'one\ntwo'"
NOISE = 'i=0; while [ $i -lt 2500 ]; do echo "error number $i, at some length, so that it adds up" >&2; i=$((i + 1)); done'
NOT_UTF8 = r"printf 'na\357ve'"
WORDS = shell.command("printf", "%s|", "a b", "it's", 'say "hi"', "$HOME `id` \\n", "l1\nl2", "é☃!")


class TransportContract:
    """Subclass and give a fixture `transport`: a fresh one. Fakes pass this part too."""

    def test_exit_status_and_both_streams_come_back_apart(self, transport: Transport):
        assert transport.run(BOTH) == Answer(3, "out\n", "err\n")

    def test_an_empty_script_is_fine(self, transport: Transport):
        assert transport.run(NOTHING) == Answer(0)

    def test_words_arrive_as_they_were_written(self, transport: Transport):
        answer = transport.run(WORDS)

        assert answer.stdout == 'a b|it\'s|say "hi"|$HOME `id` \\n|l1\nl2|é☃!|'

    def test_standard_input_of_any_size_and_any_bytes_arrives_whole(self, transport: Transport):
        answer = transport.run(DIGEST, stdin=BINARY)

        assert answer.stdout.strip() == hashlib.sha256(BINARY).hexdigest()

    def test_five_megabytes_come_back_byte_for_byte(self, transport: Transport):
        channel = transport.open(ECHO)
        channel.send(BINARY)
        channel.send_eof()
        received = b"".join(iter(channel.receive, b""))

        assert received == BINARY
        assert channel.finish() == Answer(0)

    def test_questions_and_answers_take_turns(self, transport: Transport):
        channel = transport.open(PING_PONG)
        heard = []
        for number in range(100):
            channel.send(b"%d\n" % number)
            heard.append(channel.receive_line())
        channel.send_eof()

        assert heard == [b"pong %d\n" % number for number in range(100)]
        assert channel.receive_line() == b""
        assert channel.finish().ok

    def test_a_last_line_needs_no_newline(self, transport: Transport):
        channel = transport.open(TWO_LINES)

        lines = [channel.receive_line(), channel.receive_line(), channel.receive_line()]

        assert lines == [b"one\n", b"two", b""]
        channel.close()

    def test_finish_gives_what_was_not_received_yet(self, transport: Transport):
        channel = transport.open(TWO_LINES)

        assert channel.receive_line() == b"one\n"
        assert channel.finish() == Answer(0, "two")
        assert channel.finish() == Answer(0, "two")

    def test_of_standard_error_the_last_64_kib_are_kept(self, transport: Transport):
        answer = transport.run(NOISE)

        assert len(answer.stderr.encode()) == STDERR_KEPT
        assert answer.stderr.endswith("error number 2499, at some length, so that it adds up\n")

    def test_output_that_is_not_utf8_is_shown_with_replacement(self, transport: Transport):
        assert transport.run(NOT_UTF8).stdout == "na�ve"

    def test_a_script_need_not_read_its_input(self, transport: Transport):
        assert transport.run(DEAF, stdin=BINARY).exit_status == 5

    def test_sending_to_a_deaf_script_never_hangs_and_loses_no_status(self, transport: Transport):
        channel = transport.open(DEAF)
        try:
            for _ in range(100):
                channel.send(b"x" * 65536)
        except BrokenPipeError:
            pass

        assert channel.finish().exit_status == 5

    def test_nothing_can_be_sent_after_the_end_of_input(self, transport: Transport):
        channel = transport.open(ECHO)
        channel.send_eof()

        with pytest.raises(BrokenPipeError):
            channel.send(b"late")
        assert channel.finish() == Answer(0)

    def test_a_script_that_takes_too_long_is_a_timeout(self, transport: Transport):
        with pytest.raises(TimeoutError):
            transport.run(SLOW, timeout=0.3)

    def test_closing_twice_is_fine_and_the_next_call_opens_it_anew(self, transport: Transport):
        transport.run(NOTHING)
        transport.close()
        transport.close()

        assert transport.run(BOTH).exit_status == 3
        assert transport.counters.round_trips == 2

    def test_costs_are_counted(self, transport: Transport):
        transport.run(DIGEST, stdin=BINARY)
        channel = transport.open(TWO_LINES)
        channel.finish()
        channel.close()

        assert transport.counters.round_trips == 2
        assert transport.counters.bytes_sent > len(BINARY)
        assert transport.counters.bytes_received > 64


class RealContract(TransportContract):
    """What needs a real shell behind the transport."""

    def test_a_script_of_200_kb_runs_and_finds_its_input_untouched(self, transport: Transport):
        letters = "é'!\\ \n" * 30_000

        answer = transport.run(
            f'text={shell.quote(letters)}\nprintf %s "$text"\ncat', stdin=b"rest"
        )

        assert answer == Answer(0, letters + "rest")

    def test_a_script_has_no_arguments_and_its_own_exit_status(self, transport: Transport):
        assert transport.run('echo "$#"; (exit 7)') == Answer(7, "0\n")

    def test_a_script_with_a_mistake_fails_with_the_shells_words(self, transport: Transport):
        answer = transport.run("if then")

        assert answer.exit_status == 2
        assert "yntax error" in answer.stderr

    def test_a_script_killed_by_a_signal_is_not_ok(self, transport: Transport):
        assert not transport.run("kill -9 $$").ok

    def test_twenty_megabytes_of_output_on_both_streams_do_not_deadlock(self, transport: Transport):
        answer = transport.run(
            "head -c 20000000 /dev/zero >&2; head -c 20000000 /dev/zero; echo end >&2"
        )

        assert len(answer.stdout) == 20_000_000
        assert answer.stderr.endswith("\0end\n")

    def test_standard_error_is_drained_while_output_is_awaited(self, transport: Transport):
        channel = transport.open("head -c 20000000 /dev/zero >&2; echo ready; cat >&2")

        assert channel.receive_line() == b"ready\n"
        channel.send(b"last words")
        assert channel.finish().stderr.endswith("last words")

    def test_closing_leaves_the_script_running(self, transport: Transport, tmp_path: Path):
        proof = tmp_path / "proof"
        channel = transport.open(f"echo on; sleep 0.4; echo done > {shell.quote(str(proof))}")
        assert channel.receive_line() == b"on\n"
        channel.close()
        channel.close()
        transport.close()

        assert not proof.exists()
        until = time.monotonic() + 5
        while not proof.exists() and time.monotonic() < until:
            time.sleep(0.05)
        assert proof.exists()

    def test_finish_may_be_called_again_after_a_timeout(self, transport: Transport):
        channel = transport.open("echo early; sleep 0.6; echo late")

        with pytest.raises(TimeoutError):
            channel.finish(0.2)
        assert channel.finish(5) == Answer(0, "early\nlate\n")

    def test_a_script_that_reads_nothing_does_not_outlast_its_timeout(self, transport: Transport):
        start = time.monotonic()

        with pytest.raises(TimeoutError):
            transport.run("sleep 4", stdin=BINARY, timeout=0.5)
        assert time.monotonic() - start < 3

    def test_two_scripts_run_at_once(self, transport: Transport):
        meeting = threading.Barrier(2)

        def answer(word: str) -> str:
            meeting.wait()
            return transport.run(f"sleep 0.5; echo {word}").stdout

        transport.run("true")
        start = time.monotonic()
        with ThreadPoolExecutor(2) as threads:
            answers = list(threads.map(answer, ["a", "b"]))

        assert answers == ["a\n", "b\n"]
        assert time.monotonic() - start < 0.95

    def test_twelve_threads_share_one_connection(self, transport: Transport):
        meeting = threading.Barrier(12)

        def answers(number: int) -> list[str]:
            meeting.wait()
            return [transport.run(f"echo {number}").stdout for _ in range(3)]

        with ThreadPoolExecutor(12) as threads:
            found = list(threads.map(answers, range(12)))

        assert found == [[f"{number}\n"] * 3 for number in range(12)]
        assert transport.counters.round_trips == 36
        assert transport.counters.connects <= 1


def assert_no_word_escapes_its_quotes(transport: Transport, words: list[str]) -> None:
    answer = transport.run(shell.command("printf", "%s\\0", "first", *words))

    assert answer.stdout.split("\0")[1:-1] == words
