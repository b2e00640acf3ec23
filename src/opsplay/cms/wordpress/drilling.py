"""What a restore drill asks of WordPress, and what a scratch environment's configuration says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType

from opsplay.core.drivers import DatabaseAccess
from opsplay.core.environment import Environment
from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer


def read_watermarks(answer: Answer) -> Mapping[str, str]:
    """Return the marks by name. Raises UnreadableAnswer unless the list has its end."""
    lines = answer.stdout.splitlines()
    if not answer.ok or lines[-1:] != ["end"]:
        told = answer.stderr.strip().splitlines()
        why = told[-1].removeprefix("opsplay: ") if told else "no whole answer"
        raise UnreadableAnswer(f"how far the site is could not be asked: {why}")
    pairs = (line.partition(" ") for line in lines[:-1])
    return MappingProxyType({_decoded(name): value for name, _, value in pairs})


def _decoded(name: str) -> str:
    return name.replace("%0A", "\n").replace("%20", " ").replace("%25", "%")


def scratch_configuration(access: DatabaseAccess, here: Environment) -> str:
    """Return what `use_database.php` reads: constants, and old texts with their new ones."""
    constants: dict[str, str | bool] = {
        "DB_NAME": access.name,
        "DB_USER": access.user,
        "DB_PASSWORD": access.password,
        "DB_HOST": access.host,
        "WP_HTTP_BLOCK_EXTERNAL": True,
        "WP_ACCESSIBLE_HOSTS": "",
        "DISABLE_WP_CRON": True,
        "AUTOMATIC_UPDATER_DISABLED": True,
        "WP_ENVIRONMENT_TYPE": "staging",
        "WP_REDIS_DISABLED": True,
    }
    return json.dumps({"constants": constants, "texts": _texts(access, here)})


def _texts(access: DatabaseAccess, here: Environment) -> dict[str, str]:
    bare = access.old_url.partition("://")[2]
    schemes = {f"{scheme}://{bare}": here.url for scheme in ("https", "http") if bare}
    return schemes | ({access.old_root: here.root} if access.old_root.strip("/") else {})
