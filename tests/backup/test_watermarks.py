"""How far a shop was when it was saved is written into the manifest, also of a shop that sells meanwhile."""

from __future__ import annotations

import pytest
from tests.backup.conftest import Bench

pytestmark = pytest.mark.real


def test_a_table_that_grows_during_the_dump_is_noted_with_both_numbers(bench: Bench):
    query = bench.site.cms.watermarks()

    def asked():
        marks = query.read(bench.transport.run(query.script))
        bench.mariadb.sql("INSERT INTO orders (who) VALUES ('too late')", bench.database)
        return marks

    snapshot = bench.take(watermarks=asked)

    assert snapshot.consistency.watermarks == {"rows:nothing": "0", "rows:orders": "2000..2001"}
