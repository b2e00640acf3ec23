"""Which backup is the last one that counts, whatever somebody stored beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.backup.conftest import Bench
from tests.backup.shelf import SIGNER, SITE, STRANGER, TRUSTED, Keeper
from tests.backup.vault_reading import in_memory

from opsplay.core.action import Store
from opsplay.core.errors import Unreachable, VaultRefused
from opsplay.core.snapshot import Snapshot, sha256, to_json
from opsplay.core.vault import Vault, VaultSettings
from opsplay.engine.signature import SUFFIX, Signer
from opsplay.engine.store_seal import loose_ends, seal
from opsplay.engine.trust import Trust, find
from opsplay.engine.verify import Verification, links

ROUNDS = int(os.environ.get("OPSPLAY_SOAK_ROUNDS", "2"))
SETTINGS = VaultSettings("memory", "memory", recipients=("age1nobody",))
FUTURE = "20991231T000000-ffffff"


def forged(good: Snapshot, **changes) -> Snapshot:
    """Return the good backup as somebody else would have it: the last for years to come."""
    far = good.started_at.replace(year=2099)
    return replace(good, **{"snap": FUTURE, "chain": "2099-12", "started_at": far} | changes)


def put(vault: Vault, snapshot: Snapshot, signer: Signer | None, key: str = "") -> None:
    text, key = to_json(snapshot), key or snapshot.key
    if signer:
        vault.put(key + SUFFIX, signer.sign(text))
    vault.put(key, text)


@pytest.fixture
def keeper() -> Keeper:
    made = Keeper()
    made.month_of_days(3)
    return made


def last(keeper: Keeper, snap: str = "last", keys=TRUSTED) -> tuple[Snapshot, list[str]]:
    """Return what is found, and what was told of the way there."""
    told: list[str] = []
    trust = Trust(keys, keeper.clock.now(), told.append)
    return find(keeper.vault, keeper.site, snap, trust), told


def test_what_is_forged_is_never_the_last_one_and_is_named(keeper: Keeper):
    good = keeper.last
    put(keeper.vault, forged(good), None)
    put(keeper.vault, forged(good, chain="2031-05"), STRANGER)
    other = f"v1/{SITE}/2098-01/snap/{FUTURE}.json"
    put(keeper.vault, good, SIGNER, key=other)
    keeper.vault.put(f"v1/{SITE}/{good.chain}/snap/20991231T000001-ffffff.json", b"garbage")

    found, told = last(keeper)

    assert found == good
    keys = [one.rpartition(" ")[2] for one in told]
    assert keys == sorted(keys, reverse=True)
    assert {key.split("/")[2] for key in keys} == {"2099-12", "2098-01", "2031-05", good.chain}
    reasons = " ".join(told)
    assert reasons.count("is not signed by a key that is trusted here") == 2
    assert "is the manifest of another backup" in reasons
    assert "cannot be read" in reasons


def test_a_flood_of_forged_ones_is_told_in_a_few_lines(keeper: Keeper):
    for number in range(20):
        put(keeper.vault, forged(keeper.last, snap=f"20991231T{number:06}-ffffff"), STRANGER)

    found, told = last(keeper)

    assert found == keeper.last
    assert len(told) == 6
    assert told[-1].startswith("15 more")


def test_one_of_ours_that_a_wrong_clock_dated_does_not_stay_the_last_for_years(keeper: Keeper):
    good = keeper.last
    wrong = forged(good)
    put(keeper.vault, wrong, SIGNER)

    found, told = last(keeper)
    named, _ = last(keeper, FUTURE)

    assert (found, named) == (good, wrong)
    assert "is dated 2099-11-03 03:02 UTC, which is still to come" in told[0]


def test_a_clock_that_is_behind_makes_no_backup_doubtful(keeper: Keeper):
    keeper.clock = type(keeper.clock)(datetime(2020, 1, 1, tzinfo=keeper.clock.now().tzinfo))

    assert last(keeper) == (keeper.last, [])


def test_an_old_manifest_that_is_stored_again_is_not_the_last(keeper: Keeper):
    old = keeper.known().backups[0].snapshot
    keeper.vault.put(old.key, to_json(old), replace=True)
    trust = Trust(TRUSTED, keeper.clock.now())

    assert last(keeper) == (keeper.last, [])
    assert [one.snapshot for one in keeper.known().newest(trust)] == [keeper.last]


def test_a_forged_one_of_the_same_name_does_not_hide_the_one_that_is_asked_for(keeper: Keeper):
    good = keeper.known().backups[0].snapshot
    put(keeper.vault, replace(good, chain="2099-12"), STRANGER)

    assert last(keeper, good.snap)[0] == good


def test_where_all_are_forged_there_is_no_last_one():
    keeper = Keeper()
    keeper.back_up(signer=STRANGER)

    with pytest.raises(VaultRefused, match="no backup last of production that counts"):
        last(keeper)


def test_without_a_key_to_trust_the_newest_is_taken_and_that_is_told(keeper: Keeper):
    newest = keeper.back_up(signer=None)

    found, told = last(keeper, keys=())

    assert found == newest
    assert told == ["no key is trusted here: who sealed the backups was not checked"]


@pytest.mark.real
def test_the_next_backup_stands_on_the_last_one_that_counts_and_follows_it(bench: Bench):
    bench = in_memory(bench)
    told: list[str] = []
    files = {"store": Store(include=("files",)), "signer": SIGNER}
    good = bench.take(**files)
    bench.clock.sleep(3600)
    put(bench.vault, forged(good, chain=good.chain), STRANGER)
    put(bench.vault, forged(good, chain=good.chain, snap="20991231T000000-aaaaaa"), None)

    trust = Trust(TRUSTED, bench.clock.now(), told.append)
    following = bench.take(**files, trust=trust, run="20261122T063100-3f9a1d")

    assert following.base == (good.snap,)
    assert following.follows == (sha256(good),)
    assert {one.rpartition("-")[2] for one in told} == {"ffffff.json", "aaaaaa.json"}


def manifest(clock, number: int, environment: str) -> Snapshot:
    """Return the manifest of a backup that begins now, of nothing."""
    name = f"{clock.now():%Y%m%dT%H%M%S}-{number:06x}"
    kind = Keeper(clock=clock).back_up(environment=environment, snap=name, streams=(), index=None)
    return replace(kind, sealed_at=clock.now())


def sealing(keeper: Keeper, number: int, environment: str) -> Iterator[Snapshot]:
    """Take a backup as `store.take` does; stop where others may come in between."""
    snapshot = manifest(keeper.clock, number, environment)
    yield snapshot  # dumps and packs travel: for hours
    trust = Trust(TRUSTED, keeper.clock.now())
    previous, *joins = loose_ends(keeper.vault, snapshot, trust) or ("",)
    snapshot = replace(snapshot, previous_snap_sha256=previous, joins=tuple(joins))
    yield snapshot
    seal(keeper.vault, snapshot, SETTINGS, SIGNER, None)


def broken(keeper: Keeper) -> set[str]:
    """Return the keys that a verification of the chain blames."""
    return {one.key for one in links(keeper.vault, keeper.known(), TRUSTED)}


def left_of_month(keeper: Keeper) -> float:
    """Return the seconds until half an hour before the next month."""
    now = keeper.clock.now()
    later = (now.replace(day=28) + timedelta(days=4)).replace(day=1, hour=0, minute=0, second=0)
    return max((later - now).total_seconds() - 1800, 60)


def any_history(keeper: Keeper, chance: Random) -> None:
    """Let backups of three environments begin, go on and end in any order, for some months."""
    under_way: list[Iterator[Snapshot]] = []
    for number in range(25):
        environment = chance.choice(["production", "staging", "drill"])
        under_way.append(sealing(keeper, number, environment))
        while under_way and chance.random() < 0.7:
            one = chance.choice(under_way)
            if next(one, None) is None:
                under_way.remove(one)
            keeper.clock.sleep(chance.choice([0, 1, 60, 3600]))
        if not under_way:
            keeper.clock.sleep(chance.choice([3600, 40 * 86400, left_of_month(keeper)]))
        if chance.random() < 0.1:
            far = manifest(keeper.clock, number, "production")
            put(keeper.vault, forged(far, chain=far.chain, snap=f"2099-{number}"), STRANGER)
    for one in under_way:
        list(one)


@settings(max_examples=ROUNDS, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_backups_that_are_sealed_at_the_same_time_are_one_chain_again(seed: int):
    """A fork is no damage, the next one joins it, and nothing can be taken away unnoticed."""
    keeper = Keeper(lock="none")
    chance = Random(seed)
    any_history(keeper, chance)
    assert broken(keeper) == set()

    keeper.clock.sleep(3600)
    list(sealing(keeper, 999, "production"))

    later, trust = manifest(keeper.clock, 1000, "production"), Trust(TRUSTED, keeper.clock.now())
    (end,) = loose_ends(keeper.vault, later, trust)
    ours = [one for one in keeper.known().backups if one.signer]
    assert {sha for one in ours for sha in one.snapshot.follows} < {
        one.manifest_sha256 for one in ours
    }
    for one in chance.sample(ours, 6):
        taken = keeper.vault._objects.pop(one.snapshot.key)
        followers = {it.snapshot.key for it in ours if one.manifest_sha256 in it.snapshot.follows}
        assert broken(keeper) == followers
        assert bool(followers) == (one.manifest_sha256 != end), one.snapshot.snap
        keeper.vault._objects[one.snapshot.key] = taken


class Dying:
    """A vault whose controller dies before it has put a manifest."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def put(self, key: str, body: bytes, **how) -> object:
        if key.endswith(".json"):
            raise Unreachable("the controller was killed")
        return self._vault.put(key, body, **how)

    def __getattr__(self, name: str) -> object:
        return getattr(self._vault, name)


def test_a_seal_that_is_cut_short_is_no_backup_and_no_alarm_and_the_next_one_is_whole(
    keeper: Keeper,
):
    cut = manifest(keeper.clock, 7, "production")
    with pytest.raises(Unreachable):
        seal(Dying(keeper.vault), cut, SETTINGS, SIGNER, keeper.clock.now() + timedelta(days=35))
    verify = Verification(keeper.vault, SITE, keeper.clock, None, TRUSTED)
    after = verify.at(1)
    list(sealing(keeper, 8, "production"))

    assert keeper.vault.head(cut.key + SUFFIX), "a signature is left"
    assert after.good
    assert last(keeper)[0].snap.endswith("-000008")
    assert verify.at(1).good
    keeper.pass_days(36)
    assert cut.key + SUFFIX in {one.version.key for one in keeper.planned().objects}


def test_a_manifest_that_somebody_hid_is_missed(keeper: Keeper):
    newest = keeper.last
    keeper.vault.hide(newest.key)

    assert broken(keeper) == {newest.key}
    assert newest.snap not in keeper.names()
