"""A staging copy is whole, and can hurt nobody: one on the same host, one on another."""

from __future__ import annotations

import pytest
from tests.stories.copies import look_at
from tests.stories.during import locks

pytestmark = [pytest.mark.real, pytest.mark.story, pytest.mark.timeout(200)]

SITES = ("bakery", "florist")


@pytest.mark.proof
def test_a_staging_copy_is_whole_and_mails_nobody_and_is_found_by_nobody(ops):
    lab = ops.lab
    configurations = {
        site: (lab.environment(site, "staging").root / "wp-config.php").read_text()
        for site in SITES
    }
    for site in SITES:  # its first visitor lets a plugin write an option
        lab.page(lab.environment(site, "production").url)
    before = {site: lab.fingerprint(site, "production") for site in SITES}

    copied = ops("run", "playbooks/staging.yaml")

    assert copied.exit_status == 0, copied.text
    for site in SITES:
        assert before[site].difference(lab.fingerprint(site, "production")) == ()
        look_at(ops, site, configurations[site])
    assert [lock for host in ("web1", "web2", "web3") for lock in locks(ops, host)] == []
