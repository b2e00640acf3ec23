"""A drill's certificate as one page for people, in French and in English.

The page needs nothing from anywhere: no script, no image, no font. It prints on one sheet of A4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from opsplay.core.certificate import Certificate, Check, Promise, Told, say
from opsplay.kit.wording import size
from opsplay.reports.certificate_words import LABELS, SENTENCES, day_and_hour, spoken

if TYPE_CHECKING:
    from jinja2 import Template

LANGUAGES = ("en", "fr")
_MOST = 12
"""So many reasons stand on the page; all of them are in the signed text."""


def language_of(certificate: Certificate) -> str:
    """Return the language of the page that the site's client wants."""
    return "fr" if certificate.language.startswith("fr") else "en"


def page(certificate: Certificate, text: bytes, language: str) -> str:
    """Return the page; `text`: the signed text that it shows."""
    words = _Words(language)
    return _template().render(
        language=language,
        label=LABELS[language],
        certificate=certificate,
        good=certificate.verdict == "SUCCESSFUL",
        summary=words.summary(certificate),
        promises=list(words.promises(certificate)),
        checks=[words.check(one) for one in certificate.checks],
        reasons=[words.say(one) for one in certificate.reasons[:_MOST]],
        more=max(0, len(certificate.reasons) - _MOST),
        parts=[(words.label(name), words.time(took)) for name, took in certificate.restore.parts],
        about=list(words.about(certificate)),
        sha256=hashlib.sha256(text).hexdigest(),
        proof_text=words.label("proof_text").format(name=certificate.name),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    source = files("opsplay.reports").joinpath("certificate.html.jinja").read_text("utf-8")
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return made.from_string(source)


@dataclass(frozen=True)
class _Words:
    """One language."""

    language: str

    def label(self, name: str) -> str:
        return LABELS[self.language][name]

    def time(self, seconds: float) -> str:
        return spoken(seconds, self.language)

    def amount(self, count: int) -> str:
        text = size(float(count))
        return text.replace(".", ",").replace("B", "o") if self.language == "fr" else text

    def say(self, sentence: Told) -> str:
        at = sentence.values.get("at", "")
        if "T" in at:
            moment = day_and_hour(datetime.fromisoformat(at), self.language)
            sentence = replace(sentence, values={**sentence.values, "at": moment})
        return say(sentence, SENTENCES[self.language], self.time)

    def summary(self, certificate: Certificate) -> str:
        name = "success" if certificate.verdict == "SUCCESSFUL" else "failure"
        saved = day_and_hour(certificate.snapshot.started_at, self.language)
        return self.label(name).format(saved=saved)

    def promises(self, certificate: Certificate) -> Iterator[dict[str, object]]:
        restored = certificate.restore.status == "restored"
        yield self._promise("rto", certificate.rto, reached=restored)
        yield self._promise("rpo", certificate.rpo, reached=True)

    def _promise(self, name: str, promise: Promise, *, reached: bool) -> dict[str, object]:
        kept = promise.kept if reached else (None if promise.promised is None else False)
        aim = self.label("not_promised")
        if promise.promised is not None:
            aim = self.label("promised").format(time=self.time(promise.promised))
        return {
            "title": self.label(name),
            "measured": self.time(promise.measured) if reached else self.label("not_back"),
            "aim": aim,
            "kept": kept,
            "word": "" if kept is None else self.label("kept" if kept else "broken"),
            "note": self.label(f"{name}_note"),
        }

    def check(self, check: Check) -> dict[str, object]:
        return {
            "name": self.label(check.name),
            "good": check.good,
            "word": self.label("good" if check.good else "bad"),
            "told": self.say(check.told),
        }

    def about(self, certificate: Certificate) -> Iterator[tuple[str, str]]:
        snapshot = certificate.snapshot
        client = f" ({certificate.client})" if certificate.client else ""
        yield self.label("site"), f"{certificate.site}{client}"
        yield self.label("address"), snapshot.url
        yield self.label("snapshot"), f"{snapshot.snap}, {snapshot.cms} {snapshot.version}".strip()
        yield self.label("saved"), day_and_hour(snapshot.started_at, self.language)
        yield self.label("held"), day_and_hour(certificate.began_at, self.language)
        yield self.label("place"), self.say(certificate.place)
        status = self.label(certificate.restore.status)
        yield self.label("restore"), f"{status} ({self.label('not_the_verdict')})"
        yield self.label("fetched"), self.amount(certificate.restore.bytes)
        yield self.label("run"), certificate.run
        yield self.label("tool"), f"opsplay {certificate.tool_version}"
