"""Properties that hold for every step kind, present and future."""

from __future__ import annotations

import json
import random
from dataclasses import MISSING, fields, is_dataclass, replace
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.language.conftest import TEXTS

from opsplay.core.errors import InvalidInput
from opsplay.core.playbook import Declaration, Place, Playbook, Stage
from opsplay.core.step import KINDS as REGISTERED
from opsplay.core.step import Step, param
from opsplay.kit.secret import Secret
from opsplay.language import (
    build_step,
    drifted,
    inventory_from_texts,
    playbook_from_text,
    read_playbook,
    write_generated,
)
from opsplay.language import schema as schemas
from opsplay.language.files import generated, repository, schema_directory
from opsplay.language.schema import TEMPLATE, of_type, step_schema, yaml_name

KINDS = schemas.kinds()
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
WORDS = st.text("abcxyz 0189.:-_/#'\"é…", min_size=1, max_size=12).map(str.strip).filter(bool)


def values(schema):
    """Return a strategy for what a schema accepts, templates aside."""
    if "anyOf" in schema:
        return st.sampled_from(schema["anyOf"][0]["enum"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    types = schema.get("type", "string")
    kind = next(one for one in ([types] if isinstance(types, str) else types) if one != "null")
    return _OF_TYPE[kind](schema)


def _texts(schema):
    pattern = schema.get("pattern", "")
    if not pattern:
        return WORDS.filter(lambda text: len(text) >= schema.get("minLength", 0))
    found = st.from_regex(pattern.removesuffix(f"|{TEMPLATE}"))
    return found.filter(lambda text: "\n" not in text and "{" not in text and text.isprintable())


def _groups(schema):
    properties = schema.get("properties", {})
    if not properties and schema["additionalProperties"]:
        return st.dictionaries(WORDS, values(schema["additionalProperties"]), max_size=3)
    required = {
        key: values(one) for key, one in properties.items() if key in schema.get("required", ())
    }
    return st.fixed_dictionaries(
        required,
        optional={key: values(one) for key, one in properties.items() if key not in required},
    )


def _numbers(schema):
    least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
    return st.integers(least, schema.get("maximum", least + 99))


_OF_TYPE = {
    "string": _texts,
    "boolean": lambda _: st.booleans(),
    "integer": _numbers,
    "number": _numbers,
    "array": lambda one: st.lists(
        values(one["items"]),
        min_size=one.get("minItems", 0),
        max_size=3,
        unique=one.get("uniqueItems", False),
    ),
    "object": _groups,
}


@pytest.mark.parametrize("kind", KINDS)
@settings(QUICK, max_examples=12)  # of each kind
@given(data=st.data())
def test_whatever_the_schema_accepts_builds(kind, data):
    chosen = data.draw(values(step_schema(KINDS[kind])))

    step = build_step(Declaration(kind, chosen), {})

    for one in fields(step):
        if yaml_name(one) in chosen:
            assert _written(getattr(step, one.name)) == chosen[yaml_name(one)]


def _written(value):
    """Return a step's value as it would be written, defaults left out at every level."""
    if isinstance(value, tuple | list):
        return [_written(item) for item in value]
    if isinstance(value, Secret):
        return {"secret": value.reference}
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _Group(value) if is_dataclass(value) else value


class _Group:
    """Equal to any settings that say no more and nothing else than this dataclass does."""

    def __init__(self, value):
        self.value = {yaml_name(one): getattr(value, one.name) for one in fields(value)}

    def __eq__(self, other):
        return all(_written(self.value[key]) == one for key, one in other.items())

    __hash__ = None


@pytest.mark.parametrize("kind", KINDS)
def test_every_setting_is_described_and_its_examples_build(kind):
    cls = KINDS[kind]
    needed = {
        yaml_name(one): one.metadata["examples"][0]
        for one in fields(cls)
        if one.default is MISSING and one.default_factory is MISSING
    }

    assert (cls.__doc__ or "").strip()
    for one in fields(cls):
        assert one.metadata["description"].strip(), one.name
        assert one.metadata["examples"], one.name
        for example in one.metadata["examples"]:
            settings_ = needed | {yaml_name(one): json.loads(json.dumps(example))}
            assert isinstance(build_step(Declaration(kind, settings_), {}), cls)


def _closed_where_it_rolls_back(stage):
    return replace(stage, maintenance=stage.maintenance or stage.on_failure == "rollback")


PLAYBOOKS = st.builds(
    Playbook,
    name=WORDS,
    sites=WORDS,
    serial=st.lists(st.sampled_from(["1", "25%", "100%"]), max_size=3).map(tuple),
    max_fail_percentage=st.sampled_from([0.0, 12.5, 100.0]),
    vars=st.dictionaries(
        st.sampled_from(["a", "b"]), WORDS | st.lists(st.integers(-(10**9), 10**9) | st.none())
    ),
    stages=st.lists(
        st.builds(
            Stage,
            name=WORDS,
            environment=st.sampled_from(["production", "staging", "drill"]),
            maintenance=st.booleans(),
            on_failure=st.sampled_from(["stop", "rollback"]),
            tags=st.lists(st.sampled_from(["one", "two-2"]), max_size=2).map(tuple),
            when=st.sampled_from(["", "site.name == 'x'"]),
            steps=st.lists(
                st.builds(
                    Declaration,
                    kind=st.just("backup"),
                    settings=st.fixed_dictionaries({"label": WORDS}),
                    name=st.just("") | WORDS,
                    tags=st.just(()) | st.just(("daily",)),
                    retries=st.integers(0, 5),
                    delay=st.sampled_from([0.5, 5.0]),
                ),
                min_size=1,
                max_size=3,
            ).map(tuple),
        ).map(_closed_where_it_rolls_back),
        min_size=1,
        max_size=3,
        unique_by=lambda stage: stage.name,
    ).map(tuple),
)


@QUICK
@given(book=PLAYBOOKS)
def test_a_model_written_down_reads_back_the_same(book):
    text = json.dumps(_as_written(book), ensure_ascii=False)

    assert _without_places(playbook_from_text(text, "x.yaml")) == book


def _as_written(book):
    stages = [
        _without_empty(
            name=stage.name, environment=stage.environment, maintenance=stage.maintenance,
            on_failure=stage.on_failure, tags=list(stage.tags), when=stage.when,
            steps=[
                {one.kind: one.settings}
                | _without_empty(
                    name=one.name, tags=list(one.tags), retries=one.retries, delay=one.delay
                )
                for one in stage.steps
            ],
        )
        for stage in book.stages
    ]  # fmt: skip
    return _without_empty(
        name=book.name, sites=book.sites, serial=list(book.serial), vars=dict(book.vars),
        stages=stages,
    ) | {"max_fail_percentage": book.max_fail_percentage}  # fmt: skip


def _without_empty(**written):
    return {key: value for key, value in written.items() if value not in ("", [])}


def _without_places(book):
    nowhere = Place("", 1, 1)
    stages = (
        replace(
            stage, place=nowhere, steps=tuple(replace(one, place=nowhere) for one in stage.steps)
        )
        for stage in book.stages
    )
    return replace(book, stages=tuple(stages), file="", text="")


@pytest.mark.parametrize("name", ["update", "rollback"])
def test_a_damaged_playbook_is_answered_and_never_breaks_the_reader(tmp_path, name):
    whole = (repository() / "playbooks" / f"{name}.yaml").read_bytes()
    file, chance = tmp_path / "x.yaml", random.Random(name)

    for _ in range(200):
        file.write_bytes(_damaged(whole, chance))
        problems = _answers(read_playbook, file)
        assert all(one.line > 0 and one.column > 0 for one in problems)


def test_a_damaged_inventory_is_answered_and_never_breaks_the_reader():
    whole, chance = TEXTS["inventory/bakery.yaml"].encode(), random.Random("inventory")

    for _ in range(150):
        texts = {
            **TEXTS,
            "inventory/bakery.yaml": _damaged(whole, chance).decode("utf-8", "replace"),
        }
        _answers(inventory_from_texts, texts)


def _answers(read, source):
    """Return what `read` finds wrong: nothing, or at least one mistake; nothing else is raised."""
    try:
        read(source)
    except InvalidInput as error:
        return error.problems or pytest.fail("no mistake was named")
    return ()


def _damaged(data, chance):
    damaged = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, what = chance.randrange(len(damaged)), chance.randrange(4)
        if what == 0:
            del damaged[at : at + chance.randint(1, 20)]
        elif what == 1:
            damaged[at:at] = chance.choice(
                [b"{{", b"\t", b"\xff", b": ", b"- ", b"&a ", b"*a", b'"']
            )
        elif what == 2:
            damaged[at] = chance.randrange(256)
        else:
            damaged[at:at] = damaged[at // 2 : at // 2 + chance.randint(1, 40)]
        damaged = damaged or bytearray(b" ")
    return bytes(damaged)


@pytest.mark.parametrize("path", sorted(generated()))
def test_what_is_committed_is_what_the_step_classes_say(path):
    assert path not in drifted(repository())


def test_writing_the_generated_files_ends_the_drift(tmp_path):
    assert set(write_generated(tmp_path)) == set(generated())
    assert write_generated(tmp_path) == ()
    (tmp_path / "docs/reference/steps.md").write_text("edited")

    assert drifted(tmp_path) == ("docs/reference/steps.md",)


def test_the_schemas_are_valid_and_never_say_one_of():
    from jsonschema import Draft202012Validator

    for path, text in generated().items():
        if path.endswith(".json"):
            Draft202012Validator.check_schema(json.loads(text))
            assert '"oneOf"' not in text


def test_the_schemas_are_found_in_the_repository():
    assert schema_directory() == repository() / "schemas"


class _Inner:
    """Not a dataclass."""


@pytest.mark.parametrize("hint", [set[str], _Inner, int | str])
def test_a_type_that_no_setting_may_have_is_refused(hint):
    with pytest.raises(TypeError, match="cannot have the type"):
        of_type(hint)


def test_every_allowed_type_is_rendered_and_built():
    class Everything(Step[None], kind="everything_for_a_test"):
        """All types at once."""

        choice: str = param("A choice.", default="a", examples=["a"], enum=["a", "b"])
        number: float = param("A number.", default=1.5, examples=[2], minimum=0)
        pairs: dict[str, str] = param("Pairs.", default=None, examples=[{"a": "b"}])
        from_: str | None = param("A keyword.", default=None, examples=["x"], pattern="^x")
        key: Secret | None = param("A secret.", default=None, examples=[{"secret": "env:X"}])

    try:
        written = {"number": "0.5", "pairs": {"a": "b"}, "from": "x", "key": {"secret": "env:X"}}
        step = build_step(Declaration("everything_for_a_test", written), {})

        assert step.number == 0.5
        assert step.key.reference == "env:X"
        assert get_type_hints(Everything)["from_"] == (str | None)
        assert step.from_ == "x"
        with pytest.raises(InvalidInput, match="'c' is not a choice for 'choice'"):
            build_step(Declaration("everything_for_a_test", {"choice": "c"}), {})
        with pytest.raises(InvalidInput, match="'number' must be at least 0"):
            build_step(Declaration("everything_for_a_test", {"number": -1}), {})
    finally:
        del REGISTERED["everything_for_a_test"]


def test_what_a_step_class_itself_refuses_is_said_at_its_place():
    class Picky(Step[None], kind="picky_for_a_test"):
        """Refuses everything."""

        def __post_init__(self):
            raise ValueError("only on Sundays")

    try:
        with pytest.raises(InvalidInput, match=r"x\.yaml:3:5: .*only on Sundays"):
            build_step(Declaration("picky_for_a_test", {}, place=Place("x.yaml", 3, 5)), {})
    finally:
        del REGISTERED["picky_for_a_test"]


def test_the_tests_know_where_they_are():
    assert Path(__file__).is_relative_to(repository())
