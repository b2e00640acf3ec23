"""Checked inventory data to sites and vaults."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from opsplay.core.environment import Environment, Host
from opsplay.core.site import Site
from opsplay.core.vault import VaultSettings
from opsplay.kit.secret import Secret
from opsplay.language.secrets import secret


def sites(
    files: Iterable[tuple[str, Mapping[str, Any]]],
    extra_vars: Mapping[str, Any],
    repository: Path,
) -> dict[str, Site]:
    """Return all sites by name, sorted; secrets stay references."""
    found = {
        name: _site(name, data, content, file, extra_vars, repository)
        for file, content in files
        for name, data in content.get("sites", {}).items()
    }
    return dict(sorted(found.items()))


def _site(
    name: str,
    data: Mapping[str, Any],
    content: Mapping[str, Any],
    file: str,
    extra_vars: Mapping[str, Any],
    repository: Path,
) -> Site:
    config = _beside(file, content.get("ssh", {}).get("config", ""))
    identity = content.get("identity")
    return Site(
        name=name,
        cms_name=data["cms"],
        environments={
            key: _environment(key, one, config) for key, one in data["environments"].items()
        },
        client=content.get("client", ""),
        tags=tuple(data.get("tags", ())),
        vault=data.get("vault", ""),
        recipients=tuple(content.get("recipients", ())),
        identity=secret(identity["secret"], repository) if identity else None,
        language=data.get("language", "en"),
        plan=data.get("plan", "essentiel"),
        keep_years=data.get("keep_years", 0),
        promises=data.get("promises", {}),
        contacts=tuple(data.get("contacts", ())),
        vars={**data.get("vars", {}), **extra_vars},
    )


def _environment(name: str, data: Mapping[str, Any], ssh_config: str) -> Environment:
    return Environment(
        name=name,
        host=host(data["host"], ssh_config),
        root=data["root"],
        url=data["url"],
        error_log=data.get("error_log", ""),
    )


def host(written: str, ssh_config: str = "") -> Host:
    """Return a host from `[user@]name[:port]` or `local`.

    >>> host("deploy@web12.example:2222")
    Host(address='web12.example', user='deploy', port=2222, ssh_config='')
    >>> host("[::1]:22").address
    '::1'
    """
    if written == "local":
        return Host("local")
    user, _, rest = written.rpartition("@")
    name, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        name, port = rest, ""
    return Host(name.strip("[]"), user, int(port or 0), ssh_config)


def vaults(
    files: Iterable[tuple[str, Mapping[str, Any]]], repository: Path
) -> dict[str, VaultSettings]:
    """Return all vaults by name, sorted; secrets stay references."""
    resolve = partial(secret, repository=repository)
    found = {
        name: _vault(name, data, resolve, repository)
        for _, content in files
        for name, data in content.get("vaults", {}).items()
    }
    return dict(sorted(found.items()))


def _vault(name: str, data: Mapping[str, Any], resolve: Any, repository: Path) -> VaultSettings:
    def reference(key: str) -> Secret | None:
        return resolve(data[key]["secret"]) if key in data else None

    return VaultSettings(
        name=name,
        kind=data["kind"],
        endpoint=data.get("endpoint", ""),
        region=data.get("region", "us-east-1"),
        bucket=data.get("bucket", ""),
        folder=_beside(str(repository / "_"), data.get("folder", "")),
        access_key=reference("access_key"),
        secret_key=reference("secret_key"),
        recipients=tuple(data.get("recipients", ())),
        identity=reference("identity"),
        lock=data.get("lock", "none"),
        transport=data.get("transport", "auto"),
        limit_rate=data.get("limit_rate", 0),
        expiry_access_key=reference("expiry_access_key"),
        expiry_secret_key=reference("expiry_secret_key"),
        signing_key=reference("signing_key"),
    )


def _beside(file: str, path: str) -> str:
    """Return a path relative to the directory of `file`; the empty one stays empty."""
    if not path:
        return ""
    return posixpath.normpath(posixpath.join(posixpath.dirname(file), path))
