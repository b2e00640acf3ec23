"""Finds out by trying what a storage enforces, whatever its documentation says."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from urllib.parse import urlsplit

from opsplay.core.enforcement import Enforced, Probed
from opsplay.core.errors import InvalidInput, OpsplayError, VaultRefused
from opsplay.core.vault import VaultSettings
from opsplay.kit.clock import Clock
from opsplay.vaults.s3_line import S3Line
from opsplay.vaults.trial import Trial
from opsplay.vaults.trial_credentials import try_daily, try_expiring
from opsplay.vaults.trial_keeping import try_keeping, try_reaching
from opsplay.vaults.trial_urls import try_urls


def probe(
    settings: VaultSettings,
    clock: Clock,
    *,
    thorough: bool = False,
    admin: S3Line | None = None,
) -> Probed:
    """Try what the storage of an s3 vault enforces, with test objects below `probe/`.

    Takes about 50 requests and some seconds; `thorough` adds 1 001 objects, to be listed. With
    `admin`, it is also tried whether the daily credential reads what it should not.

    Raises:
        InvalidInput: there is nothing to probe in a vault of this kind.
        Unreachable, VaultRefused: the storage does not do the simplest things.
    """
    if settings.kind != "s3":
        raise InvalidInput(f"vault {settings.name} is a {settings.kind}: only s3 is to be probed")
    with closing(Trial(settings, expiring_settings(settings), clock, admin)) as trial:
        found = tuple(_tried(trial, thorough=thorough))
        return Probed(found, _tidied(trial), trial.prefix)


def expiring_settings(settings: VaultSettings) -> VaultSettings | None:
    """Return the settings with the second credential as the first, if there is one."""
    access, secret = settings.expiry_access_key, settings.expiry_secret_key
    return replace(settings, access_key=access, secret_key=secret) if access and secret else None


def _tried(trial: Trial, *, thorough: bool) -> Iterator[Enforced]:
    yield from try_reaching(trial)
    yield from try_urls(trial)
    yield from try_keeping(trial, thorough=thorough)
    yield from try_daily(trial)
    yield from try_expiring(trial)
    yield _style(trial)


def _tidied(trial: Trial) -> int:
    with suppress(VaultRefused):
        return trial.tidy()
    return -1


def _style(trial: Trial) -> Enforced:
    """Return how buckets are addressed. opsplay uses paths, which every storage knows."""
    name, promise = "virtual-hosts", "The bucket is also a host name (paths are used)"
    host = urlsplit(trial.settings.endpoint).hostname or ""
    with suppress(ValueError):
        ipaddress.ip_address(host)
        return Enforced(name, promise, None, "the endpoint is an IP address", "good to know")
    line = S3Line(trial.settings, trial.clock, style="virtual")
    try:
        with line.in_plain_words("list"):
            line.client.list_objects_v2(Bucket=line.bucket, Prefix=trial.prefix, MaxKeys=1)
    except OpsplayError as error:
        return Enforced(name, promise, False, error.what, "good to know")
    return Enforced(name, promise, True, f"{line.bucket}.{host or 'amazonaws.com'}", "good to know")
