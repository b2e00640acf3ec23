"""The driver's answers are read between marks; what proves nothing is refused."""

import json

import pytest

from opsplay.cms.wordpress.answers import read_closed, read_facts, read_log, read_safe
from opsplay.core.drivers import LogPosition, Module, Offer
from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer

FACTS = {
    "version": "6.4.5",
    "database_version": "56657",
    "wanted_database_version": "56657",
    "modules": [
        {"name": "b", "version": "1.0", "title": "B", "active": False, "offer": None},
        {
            "name": "a",
            "version": "1.9",
            "title": "A",
            "active": True,
            "offer": {"version": "1.10", "package": "http://source/a.zip"},
        },
    ],
    "offers": [
        {"version": "6.5.5", "package": "http://source/6.5.5.zip"},
        {"version": "6.4.10", "package": "http://source/6.4.10.zip"},
        {"version": "6.4.5", "package": "http://source/6.4.5.zip"},
    ],
    "source_error": "",
    "withheld": [],
    "php_version": "8.2.36",
}


def told(facts: dict, *, boot_error: str = "", noise: str = "", marks: str = "") -> Answer:
    text = f"boot_error={boot_error}\n{noise}@@opsplay@@{json.dumps(facts)}@@end@@\n{noise}"
    return Answer(0, f"{text}\n@@unfinished@@\n{marks}")


def test_updates_that_were_begun_are_unfinished_until_somebody_went_further():
    marks = (
        "core\n6.4.5\nhttp://source/6.4.5.zip#sha256=ab\n"
        "module:a\n1.8\nhttp://source/a.zip\n"
        "module:gone\n2.0\nhttp://source/gone.zip\n"
    )

    seen = read_facts(told(FACTS, marks=marks, noise="@@unfinished@@\ncore\n9\nx\n"))

    assert seen.unfinished == {
        "core": Offer("6.4.5", "http://source/6.4.5.zip#sha256=ab"),
        "module:gone": Offer("2.0", "http://source/gone.zip"),
    }


def test_an_answer_that_broke_off_before_the_marks_is_refused():
    whole = told(FACTS)

    for answer in (
        Answer(1, whole.stdout, "opsplay: a mark cannot be read"),
        Answer(0, whole.stdout.partition("@@unfinished@@")[0]),
    ):
        with pytest.raises(UnreadableAnswer):
            read_facts(answer)


def test_offers_are_sorted_sized_and_newer_than_what_is_there():
    seen = read_facts(told(FACTS))

    assert [(offer.version, offer.size) for offer in seen.offers] == [
        ("6.4.10", "minor"),
        ("6.5.5", "major"),
    ]


def test_modules_are_sorted_and_an_offer_of_1_10_is_newer_than_1_9():
    seen = read_facts(told(FACTS))

    assert seen.modules == (
        Module("a", "1.9", title="A", offer=Offer("1.10", "http://source/a.zip", "minor")),
        Module("b", "1.0", active=False, title="B"),
    )


def test_an_older_version_is_never_an_offer():
    module = FACTS["modules"][1] | {"offer": {"version": "1.8", "package": "x"}}

    seen = read_facts(told(FACTS | {"modules": [module]}))

    assert seen.modules[0].offer is None


def test_what_plugins_print_does_not_matter():
    noise = 'Notice: {"version": "9"} in plugin.php\n<br>\x00'

    assert read_facts(told(FACTS, noise=noise)) == read_facts(told(FACTS))


def test_the_reason_of_a_boot_that_failed_is_kept():
    seen = read_facts(told(FACTS, boot_error="PHP Fatal error: no"))

    assert seen.boot_error == "PHP Fatal error: no"


@pytest.mark.parametrize("read", [read_facts, read_closed, read_safe, read_log])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(0),
        Answer(0, "Success: WordPress is at the latest version."),
        Answer(1, "open closed"),
    ],
)
def test_an_answer_without_marks_proves_nothing(read, answer: Answer):
    with pytest.raises(UnreadableAnswer):
        read(answer)


def test_the_reason_on_standard_error_is_passed_on():
    with pytest.raises(UnreadableAnswer, match="there is no WordPress at /srv"):
        read_facts(Answer(1, "", "noise\nopsplay: there is no WordPress at /srv\n"))


def test_words_and_log_positions_are_read():
    assert read_closed(Answer(0, "closed\n"))
    assert not read_closed(Answer(0, "open\n"))
    assert not read_safe(Answer(0, "unsafe\n"))
    assert read_log(Answer(0, "12 /var/log/php errors.log\n")) == LogPosition(
        "/var/log/php errors.log", 12
    )
    assert read_log(Answer(0, "0 \n")) == LogPosition("", 0)
