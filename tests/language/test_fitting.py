"""The quick answer to "does it fit?" is never another one than the library's."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from opsplay.language.files import generated
from opsplay.language.fitting import fits
from opsplay.language.schema import kinds, step_schema

SCHEMAS = {name: step_schema(cls) for name, cls in kinds().items()} | {
    path: json.loads(text) for path, text in generated().items() if path.endswith(".json")
}
ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 200), st.sampled_from([0.5, 1.0, -1.0, 1e300]),
    st.sampled_from(["", "x", "{{ y }}", "644", "10%", "env:X", "/a/b", "local", "https://x.example",
                     "production", "rollback", "latest", "4h", "a b", "Ä", "\n"]),
    st.just([]), st.just({}), st.just(["a", "a"]), st.just([1, True]), st.just({"x": 1}),
    st.just({"secret": "env:X"}),
)  # fmt: skip


def examples(schema):
    """Return something of the schema's own making that ought to fit, or nearly."""
    if schema.get("examples"):
        return schema["examples"][0]
    if "properties" in schema:
        return {key: examples(one) for key, one in schema["properties"].items()}
    if "items" in schema:
        return [examples(schema["items"])]
    choices = schema.get("enum") or (schema["anyOf"][0]["enum"] if "anyOf" in schema else [])
    return choices[0] if choices else schema.get("default", "x")


def places(data, path=()):
    yield path
    inner = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    for key, value in inner:
        yield from places(value, (*path, key))


def put(data, path, value, remove=False):
    """Return a copy with another value at a place, or without what is there."""
    if not path:
        return value
    whole = copy.deepcopy(data)
    part = whole
    for key in path[:-1]:
        part = part[key]
    if remove:
        del part[path[-1]]
    else:
        part[path[-1]] = value
    return whole


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_the_quick_answer_is_the_librarys(name):
    schema = SCHEMAS[name]
    library = Draft202012Validator(schema)
    whole = json.loads(json.dumps(examples(schema)))
    spots = list(places(whole))

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 10**6), ODD, st.booleans()), max_size=2))
    @example([])
    def same(changes):
        data = whole
        for where, value, remove in changes:
            spots_now = spots if data is whole else list(places(data))
            data = put(data, spots_now[where % len(spots_now)], value, remove)

        if fits(data, schema) != library.is_valid(data):
            # It may pass the question on, where the two could differ on what equal means.
            assert not fits(data, schema)
            assert _has_unhashed(data)

    same()


def _has_unhashed(data):
    lists = [value for path in places(data) if isinstance(value := at(data, path), list)]
    return any(not isinstance(item, str) for one in lists for item in one)


def at(data, path):
    for key in path:
        data = data[key]
    return data


def test_what_is_not_known_is_passed_on():
    assert not fits(1, {"multipleOf": 1})
    assert fits(1, True)
    assert not fits(1, False)


def test_a_playbook_without_a_mistake_needs_neither_library():
    import subprocess
    import sys

    code = (
        "import sys; from opsplay.language import playbook_from_text, build_step; "
        "book = playbook_from_text('name: N\\nstages:\\n  - name: S\\n    steps:\\n"
        "      - file: {path: x, content: y}\\n', 'b.yaml'); "
        "build_step(book.stages[0].steps[0], {}); "
        "print([m for m in ('jinja2', 'jsonschema') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
