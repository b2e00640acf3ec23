"""Expiry on a vault that keeps versions and locks: what goes, what stays, in which order."""

from __future__ import annotations

import os
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.backup.shelf import SIGNER, SITE, STRANGER, Keeper

from opsplay.core.errors import Unreachable, VaultRefused
from opsplay.core.retention import plan_named
from opsplay.core.snapshot import Snapshot
from opsplay.engine.signature import SUFFIX
from opsplay.engine.verify import give_word, links
from opsplay.vaults.memory import MemoryVault

DAYS = 1000
ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "10"))


@pytest.fixture
def keeper() -> Keeper:
    return Keeper()


def lived(days: int, plan: str = "essentiel") -> Keeper:
    keeper = Keeper(plan_named(plan))
    keeper.month_of_days(days)
    return keeper


def keys(keeper: Keeper) -> set[str]:
    return {one.key for one in keeper.vault.versions("")}


def test_what_is_over_goes_with_all_its_parts_and_nothing_else():
    keeper = lived(50)
    before = keeper.names()

    done = keeper.expire()

    left = keeper.names()
    assert done.refused == ()
    assert set(done.backups) == set(before) - set(left)
    assert 10 <= len(done.backups) <= 15
    assert keeper.whole() == []
    for name in done.backups:
        assert not [key for key in keys(keeper) if f"/db/{name}" in key or f"/snap/{name}" in key]
    assert links(keeper.vault, keeper.known(), (SIGNER.public,)) == ()


def test_check_deletes_nothing_and_gives_each_a_reason():
    keeper = lived(50)
    before = keys(keeper)

    expiry = keeper.planned()

    assert keys(keeper) == before
    assert expiry.going
    assert all(one.fate and one.fate.why for one in expiry.backups)
    assert all(one.why for one in expiry.objects)


def test_a_second_expiry_finds_nothing_to_do():
    keeper = lived(50)
    keeper.expire()

    done = keeper.expire()

    assert (done.backups, done.objects) == ((), 0)


def test_a_pack_stays_as_long_as_a_later_backup_needs_it():
    keeper = lived(60)  # to 31 December: the first of November are over, its last are not
    first_full = keeper.names()[0]

    keeper.expire()

    chain = [one.snapshot for one in keeper.known().backups if one.snapshot.chain == "2026-11"]
    needed = {segment.key for one in chain for segment in one.segments}
    assert len(chain) > 1
    assert any(f"/pack/{first_full}" in key for key in needed)
    assert needed <= keys(keeper)


class Dying(MemoryVault):
    """The same vault, until the power fails."""

    def __init__(self, whole: MemoryVault, after: int) -> None:
        self.__dict__ |= whole.__dict__
        self.left = after

    def delete(self, key: str, version_id: str = "") -> None:
        if self.left == 0:
            raise Unreachable("the power failed")
        self.left -= 1
        super().delete(key, version_id)


@pytest.mark.proof
def test_killed_after_each_deletion_no_half_backup_is_ever_listed():
    keeper = lived(46)
    deletions = 0

    while True:
        try:
            keeper.expire(Dying(keeper.vault, after=5))
            break
        except Unreachable:
            deletions += 5
            assert keeper.whole() == [], f"after {deletions} deletions"
            assert links(keeper.vault, keeper.known(), (SIGNER.public,)) == ()

    assert deletions > 40
    other = lived(46)
    other.expire()
    assert len(keys(keeper) - {k for k in keys(keeper) if "/expired/" in k}) == len(
        keys(other) - {k for k in keys(other) if "/expired/" in k}
    ), "in the end as much is gone as in one go"


class Stubborn(MemoryVault):
    """The same vault, that refuses to delete some objects."""

    def __init__(self, whole: MemoryVault, refused: str) -> None:
        self.__dict__ |= whole.__dict__
        self.refused = refused

    def delete(self, key: str, version_id: str = "") -> None:
        if self.refused in key:
            raise VaultRefused(f"these keys may not delete {key}")
        super().delete(key, version_id)


def test_a_backup_whose_manifest_cannot_be_deleted_is_left_whole():
    keeper = lived(50)

    done = keeper.expire(Stubborn(keeper.vault, "/snap/"))

    assert done.backups == ()
    assert done.refused
    assert keeper.whole() == []


def test_what_is_locked_is_never_tried(keeper: Keeper):
    keeper.plan = plan_named("essentiel")
    snapshots = keeper.month_of_days(30)
    keeper.clock.sleep(-40 * 86400)  # a clock that is wrong is not the storage's

    assert keeper.planned().going == ()
    assert len(keeper.names()) == len(snapshots)


def test_nothing_goes_that_only_strangers_verified():
    keeper = Keeper(plan_named("essentiel"))
    for _ in range(45):
        keeper.verify(keeper.back_up(), signer=STRANGER)
        keeper.pass_days(1)

    assert keeper.planned().going == ()


def test_a_verdict_on_another_manifest_says_nothing():
    keeper = lived(60)
    newest = keeper.known().backups[-1]
    changed = Snapshot(**{**newest.snapshot.__dict__, "label": "edited"})

    keeper.verify(changed, level=3)

    assert keeper.known().backups[-1].proved is None


@pytest.mark.proof
def test_forged_manifests_push_nothing_out_and_are_gone_in_time():
    keeper = lived(50)
    before = keeper.names()
    for number in range(20):
        forged = keeper.back_up(
            signer=STRANGER if number % 2 else None,
            chain="2031-05",
            started_at=keeper.clock.now().replace(year=2031),
        )
        keeper.verify(forged, signer=STRANGER)
    twin = lived(50)

    gone = {one.snapshot.snap for one in keeper.planned().going}

    assert len(gone) == len(twin.planned().going), "as many as without them"
    assert gone <= set(before)
    for _ in range(16):  # longer than the plan keeps anything
        keeper.pass_days(7)
        keeper.verify(keeper.back_up())
    keeper.expire()
    assert not [key for key in keys(keeper) if "/2031-05/" in key]


def test_a_hidden_manifest_freezes_its_month_and_alarms():
    keeper = lived(50)
    victim = keeper.known().backups[2].snapshot
    keeper.vault.hide(victim.key)

    expiry = keeper.planned()
    keeper.expire()

    assert [one.damage.key for one in expiry.unclear] == [victim.key]
    assert not [one for one in expiry.going if one.snapshot.chain == victim.chain]
    assert {segment.key for segment in victim.segments} <= keys(keeper)


def test_a_manifest_overwritten_by_a_stranger_freezes_its_month():
    keeper = lived(50)
    victim = keeper.known().backups[2].snapshot
    keeper.vault.put(victim.key, b"{}", replace=True)
    keeper.vault.put(keeper.known().backups[3].snapshot.key, b"garbage", replace=True)

    expiry = keeper.planned()

    assert len(expiry.unclear) == 2
    assert not [one for one in expiry.going if one.snapshot.chain == victim.chain]
    assert not [one for one in expiry.objects if victim.chain in one.version.key]


def test_an_old_manifest_stored_again_is_no_younger():
    keeper = lived(50)
    old = keeper.known().backups[1].snapshot
    text = b"".join(keeper.vault.get(old.key))

    keeper.vault.put(old.key, text, replace=True)
    keeper.pass_days(1)

    assert old.snap in {one.snapshot.snap for one in keeper.planned().going}
    keeper.expire()
    assert old.snap not in keeper.names()
    assert old.key not in keys(keeper), "every version of it is gone"


def test_what_a_failed_attempt_left_goes_after_its_lock(keeper: Keeper):
    keeper.month_of_days(3)
    began = keeper.clock.now()
    orphan = keeper._stored(
        "2026-11/pack/20261104T030000-ffffff-00-1.tar.age.00000", began, full=False
    )
    keeper.vault.put(f"v1/{SITE}/2026-11/preflight/x", b"1")

    fresh = keeper.planned()
    keeper.pass_days(8)
    week = keeper.planned()
    keeper.pass_days(60)
    later = keeper.planned()

    assert [fresh.objects, fresh.locked] == [(), ()], "it may be a backup under way"
    assert [one.version.key for one in week.locked] == [orphan.key]
    assert [one.version.key for one in week.objects] == [f"v1/{SITE}/2026-11/preflight/x"]
    assert orphan.key in {one.version.key for one in later.objects}


def test_what_opsplay_did_not_write_is_left_alone_and_told():
    keeper = lived(50)
    strange = f"v1/{SITE}/2026-11/photos/holiday.jpg"
    ledger = f"v1/{SITE}/erasures/20261101T030000-abcdef.json.age"
    keeper.vault.put(strange, b"x")
    keeper.vault.put(ledger, b"x")
    keeper.pass_days(400)

    expiry = keeper.planned()
    keeper.expire()

    assert expiry.unknown == (strange,)
    assert {strange, ledger} <= keys(keeper)


def test_old_manuals_and_superseded_verdicts_go():
    keeper = lived(20)
    manual = f"v1/{SITE}/README.txt"
    for _ in range(3):
        keeper.vault.put(manual, b"how to restore", replace=True)
    newest = keeper.known().backups[-1].snapshot
    for _ in range(4):
        keeper.clock.sleep(1)
        keeper.verify(newest, level=1)
    keeper.pass_days(36)
    keeper.verify(newest, level=1)

    keeper.expire()

    versions = [one.key for one in keeper.vault.versions("")]
    assert versions.count(manual) == 1
    assert len([key for key in versions if f"{newest.snap}-L1" in key]) == 2  # it and its signature
    assert keeper.known().backups[-1].proved.level == 1


def test_a_suspect_backup_freezes_until_somebody_gives_their_word():
    keeper = Keeper(plan_named("essentiel"))
    keeper.month_of_days(30)
    suspect = keeper.back_up(suspect=("95 % of the files changed",))
    keeper.month_of_days(37)

    frozen = keeper.planned()
    (backup,) = [one for one in keeper.known().backups if one.snapshot.snap == suspect.snap]
    give_word(keeper.vault, backup, SIGNER, keeper.clock.now(), "anna")
    cleared = keeper.planned()

    assert backup.suspect
    assert not [one for one in frozen.going if one.stored < backup.stored]
    assert [one for one in cleared.going if one.stored < backup.stored]


def test_a_deleted_manifest_breaks_the_chain_and_an_expired_one_does_not():
    keeper = lived(50)
    keeper.expire()
    assert links(keeper.vault, keeper.known(), (SIGNER.public,)) == ()
    victim, follower = (one.snapshot for one in keeper.known().backups[-10:-8])

    keeper.vault.hide(victim.key)
    hidden, broken = links(keeper.vault, keeper.known(), (SIGNER.public,))
    keeper.vault._objects.pop(victim.key)  # as somebody who may do anything would

    assert (hidden.key, broken.key) == (victim.key, follower.key)
    assert links(keeper.vault, keeper.known(), (SIGNER.public,)) == (broken,)


def test_a_forged_record_of_an_expiry_hides_no_gap():
    keeper = lived(10)
    victim = keeper.known().backups[4]
    keeper.vault._objects.pop(victim.snapshot.key)
    keeper.vault._objects.pop(victim.snapshot.key + SUFFIX)
    told = b'{"gone": [{"manifest": "x", "sha256": "%s", "previous": "", "why": ""}]}'
    told %= victim.manifest_sha256.encode()
    keeper.vault.put(f"v1/{SITE}/expired/1.json", told)
    keeper.vault.put(f"v1/{SITE}/expired/1.json{SUFFIX}", STRANGER.sign(told))

    assert len(links(keeper.vault, keeper.known(), (SIGNER.public,))) == 1


def live(keeper: Keeper, chance: Random, days: int) -> None:
    """Let an agency of ordinary diligence work, an expiry each week, things going wrong."""
    for day in range(days):
        if chance.random() < 0.93:
            snapshot = keeper.back_up(suspect=("looks bad",) if chance.random() < 0.004 else ())
            if chance.random() < 0.4:
                keeper.verify(snapshot, level=chance.choice([1, 2, 2, 3]))
        if chance.random() < 0.05:  # an attempt that failed
            name = f"{keeper.clock.now():%Y-%m/pack/%Y%m%dT%H%M%S}-0bad00-00-1.tar.age.00000"
            keeper._stored(name, keeper.clock.now(), full=False, packs=True)
        keeper.pass_days(1)
        if day % 30 == 29:
            for one in keeper.known().backups:
                if one.suspect:
                    give_word(keeper.vault, one, SIGNER, keeper.clock.now(), "anna")
        if chance.random() < 0.1:
            deleter = Dying(keeper.vault, chance.choice([0, 1, 5, 100_000]))
            try:
                keeper.expire(deleter)
            except Unreachable:
                continue
            finally:
                assert keeper.whole() == []
                assert links(keeper.vault, keeper.known(), (SIGNER.public,)) == ()


@pytest.mark.parametrize(
    "days", [45, pytest.param(DAYS, marks=[pytest.mark.proof, pytest.mark.timeout(900)])]
)
@settings(max_examples=1 + ROUNDS // 50, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_days_of_an_agency_leave_every_listed_backup_whole(days: int, seed: int):
    keeper = Keeper(plan_named("business"))

    live(keeper, Random(seed), days)
    keeper.expire()

    longest = keeper.plan.longest
    oldest = keeper.known().backups[0]
    assert longest(oldest.stored) > keeper.clock.now()
    stale = [
        one.key
        for one in keeper.vault.versions("")
        if longest(longest(one.modified)) < keeper.clock.now()
    ]
    assert stale == [], "no object outlives what needs it"
