"""A certificate says what was found, in both languages, and its verdict is not the restore's."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from opsplay.core.certificate import (
    WORDS,
    Certificate,
    Check,
    Promise,
    Proved,
    Restoration,
    promised,
    seconds_of,
    to_json,
    told,
    verdict_of,
)
from opsplay.reports.certificate import LANGUAGES, language_of, page
from opsplay.reports.certificate_words import LABELS, SENTENCES

AT = datetime(2026, 11, 22, 5, 31, tzinfo=UTC)
KEPT, BROKEN = Promise(400.0, 14400.0), Promise(400.0, 300.0)
FINE = Check("files", good=True, told=told("files_compared", count=12))
SHORT = Check(
    "tables",
    good=False,
    told=told("tables_compared", tables=2, rows=26),
    wrong=(told("table_rows", table="wp_wc_orders", found=12, saved=14),),
)
NEVER_SEEN = Check("pages", good=False, told=told("not_tried"))
CERTIFICATE = Certificate(
    site="bakery",
    client="<Au bon pain> & Fils",
    language="fr",
    run="20261122T091500-aa11bb",
    tool_version="0.1.0",
    began_at=AT.replace(hour=9),
    ended_at=AT.replace(hour=10),
    due_at=AT.replace(hour=9),
    place=told("scratch_alone", host="controller"),
    snapshot=Proved(
        "20261122T053107-3f9a1c", "incr", "production", AT, AT,
        "v1/bakery/2026-11/snap/20261122T053107-3f9a1c.json", "a" * 64,
        cms="wordpress", version="6.5.5", url="https://bakery.example",
    ),
    restore=Restoration("restored", 400.0, (("database", 92.3), ("looking", 44.0)), 1_200_000),
    checks=(FINE,),
    rto=KEPT,
    rpo=KEPT,
    verdict="SUCCESSFUL",
    reasons=(),
)  # fmt: skip


@pytest.mark.parametrize(
    ("status", "checks", "rto", "rpo", "verdict", "reasons"),
    [
        ("restored", (FINE,), KEPT, KEPT, "SUCCESSFUL", []),
        ("restored", (FINE,), Promise(9e9, None), Promise(9e9, None), "SUCCESSFUL", []),
        ("restored", (SHORT,), KEPT, KEPT, "FAILED", ["table wp_wc_orders has 12 of 14 rows"]),
        ("restored", (FINE,), BROKEN, KEPT, "FAILED", ["back after 7 min, promised within 5 min"]),
        (
            "restored", (FINE,), KEPT, Promise(259200, 86400), "FAILED",
            ["the data was 3 d old, promised at most 24 h"],
        ),
        ("failed", (), BROKEN, KEPT, "FAILED", ["the dump has no end"]),
        ("timed out", (), BROKEN, KEPT, "TIMED_OUT", ["the dump has no end"]),
        ("restored", (NEVER_SEEN,), KEPT, KEPT, "FAILED", [WORDS["not_tried"]]),
    ],
)  # fmt: skip
def test_the_verdict_asks_more_than_that_the_restore_ended_well(
    status, checks, rto, rpo, verdict, reasons
):
    errors = () if status == "restored" else (told("error", error="the dump has no end"),)

    found = verdict_of(status, checks, rto, rpo, errors)

    assert (found[0], [str(one) for one in found[1]]) == (verdict, reasons)


def test_the_text_is_canonical_and_says_each_sentence_as_data_and_in_english():
    text = to_json(replace(CERTIFICATE, checks=(SHORT,)))

    data = json.loads(text)
    assert text == json.dumps(data, indent=1, sort_keys=True).encode() + b"\n"
    assert data["began_at"] == "2026-11-22T09:31:00Z"
    assert data["checks"][0]["wrong"][0] == {
        "code": "table_rows",
        "values": {"table": "wp_wc_orders", "found": "12", "saved": "14"},
        "text": "table wp_wc_orders has 12 of 14 rows",
    }
    assert data["rto"] == {"measured": 400.0, "promised": 14400.0, "kept": True}


def test_it_lies_beside_its_snapshot():
    assert CERTIFICATE.key == (
        "v1/bakery/2026-11/verify/20261122T053107-3f9a1c-L4-20261122T093100Z.json"
    )


def test_promises_are_read_from_the_inventory():
    kept = {"back_within": "4h", "drill_every": "quarter"}

    assert promised(kept, "back_within") == 14400
    assert promised(kept, "lose_at_most") is None
    with pytest.raises(ValueError, match="4 hours"):
        seconds_of("4 hours")


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_has_every_word_and_the_same_places_in_each_sentence(language):
    def places(text: str) -> set[str]:
        return set(re.findall(r"{(\w+)}", text))

    assert LABELS[language].keys() == LABELS["en"].keys()
    assert SENTENCES[language].keys() == WORDS.keys()
    for code, sentence in SENTENCES[language].items():
        assert places(sentence) == places(WORDS[code]), code


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("good", [True, False])
def test_the_page_stands_alone_and_says_what_matters(language, good):
    failed = replace(
        CERTIFICATE, checks=(FINE, SHORT), verdict="FAILED", reasons=SHORT.wrong, rto=BROKEN
    )
    shown = CERTIFICATE if good else failed

    html = page(shown, to_json(shown), language)

    seen = Page()
    seen.feed(html)
    assert seen.language == language
    assert not {"script", "img", "link", "iframe", "svg"} & seen.tags
    assert "http:" not in html.replace("https://bakery.example", "")
    assert "&lt;Au bon pain&gt; &amp; Fils" in html
    assert "<Au bon pain>" not in html
    assert LABELS[language][shown.verdict] in html
    assert ("wp_wc_orders" in html) is not good
    assert seen.headings[0] == "h1"
    assert seen.open == []


def test_the_page_of_a_french_client_is_french():
    assert language_of(CERTIFICATE) == "fr"
    assert language_of(replace(CERTIFICATE, language="fr-CA")) == "fr"
    assert language_of(replace(CERTIFICATE, language="de")) == "en"
    shown = page(CERTIFICATE, b"", "fr")
    assert "22 novembre 2026 à 05:31 UTC" in shown
    assert "1,2 Mo" in shown
    assert "1 min" in page(replace(CERTIFICATE, rto=Promise(60, None)), b"", "fr")


def test_many_reasons_leave_room_for_the_rest_of_the_page():
    reasons = tuple(told("file_missing", path=f"photo-{one}.jpg") for one in range(40))

    shown = page(replace(CERTIFICATE, verdict="FAILED", reasons=reasons), b"", "en")

    assert "photo-11.jpg" in shown
    assert "photo-12.jpg" not in shown
    assert "+ 28" in shown


class Page(HTMLParser):
    """What a reader meets on a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.headings: list[str] = []
        self.open: list[str] = []
        self.language = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.language = dict(attrs).get("lang") or self.language
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
