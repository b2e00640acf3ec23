"""Batches: every site once, in order; and when the line stops."""

from __future__ import annotations

from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from opsplay.engine.batches import batches, too_many

SIZES = st.integers(1, 50).map(str) | st.integers(1, 100).map("{}%".format)


@given(st.integers(0, 200), st.lists(SIZES, max_size=4))
def test_every_site_comes_once_and_in_order(count, serial):
    found = list(batches(range(count), serial))

    assert list(chain.from_iterable(found)) == list(range(count))
    assert all(found)
    for size, batch in zip(serial, found[:-1], strict=False):
        assert len(batch) == (int(size) if size.isdigit() else -(-count * int(size[:-1]) // 100))


@given(st.integers(1, 200))
def test_without_serial_all_come_at_once(count):
    assert len(list(batches(range(count), ()))) == 1


@given(st.integers(0, 100), st.integers(1, 100), st.floats(0, 100))
def test_the_line_stops_only_above_the_share_that_may_fail(failed, total, share):
    failed = min(failed, total)

    whole = failed == total
    assert too_many(failed, total, share) == (whole or failed * 100 / total > share)
    assert too_many(failed, total, 100) == whole
    assert too_many(failed, total, 0) == (failed > 0)
