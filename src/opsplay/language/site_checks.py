"""What the trade knows about sites and vaults, said better than a schema can."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from opsplay.core.errors import Problem
from opsplay.language.nodes import Fields, fields_at, find, items_at, place_of_key, text_at
from opsplay.language.problems import say
from opsplay.language.shape_inventory import HOST, RECIPIENT, ROOT, URL
from opsplay.language.suggest import listed
from opsplay.language.templates import has_template

_NEEDED = {"s3": ("bucket", "access_key", "secret_key", "recipients"), "folder": ("folder",)}
_HIGHEST_PORT = 65535
_ANY_URL = "write for example https://bakery.example"


def site_problems(root: Fields, name: str) -> Iterator[Problem]:
    """Find what is wrong in the environments of a site."""
    for environment in fields_at(root, "sites", name, "environments"):
        path = ("sites", name, "environments", environment)
        for key, check in (("host", host_problem), ("root", root_problem), ("url", url_problem)):
            node, value = find(root, (*path, key)), text_at(root, *path, key)
            if node and value is not None and not has_template(value) and (wrong := check(value)):
                yield say(node.place, *wrong)


def host_problem(host: str) -> tuple[str, str] | None:
    """Return what is wrong with a host, and what to do; None when it is fine."""
    port = host.rpartition(":")[2] if re.search(r":\d+$", host) else ""
    if port and not 0 < int(port) <= _HIGHEST_PORT:
        return f"the port {port} does not exist", f"ports go from 1 to {_HIGHEST_PORT}"
    if re.search(HOST, host):
        return None
    if "://" in host or "/" in host:
        return f"'{host}' is an address of a page, not of an SSH host", "write user@name:port"
    if re.search(r"\s", host):
        return f"the host '{host}' holds a space", "write user@name:port"
    return f"the host '{host}' is not understood", "write user@name:port, or local"


def root_problem(root: str) -> tuple[str, str] | None:
    """Return what is wrong with a root directory, and what to do; None when it is fine."""
    if not root.startswith("/"):
        return f"the root '{root}' is not an absolute path", "begin with '/': /home/shop/www"
    if not root.strip("/"):
        return "the root '/' is the whole host", "name the directory of the CMS"
    if ".." in root.split("/"):
        return f"the root '{root}' holds '..'", "write the path without it"
    if not re.search(ROOT, root):
        return f"the root '{root}' ends with a slash", f"write {root.rstrip('/')}"
    return None


def url_problem(url: str) -> tuple[str, str] | None:
    """Return what is wrong with a URL, and what to do; None when it is fine."""
    if not re.match(r"https?://", url):
        bare = re.sub(r"^[a-z]*:?/*", "", url) if "://" in url else url
        return f"the url '{url}' does not begin with http:// or https://", f"write https://{bare}"
    parts = _parts(url)
    if parts is None or not parts.hostname:
        return f"the url '{url}' names no host", _ANY_URL
    if "@" in parts.netloc:
        return "the url holds a user name or password", "delete it: urls are shown in reports"
    if url.endswith("/"):
        return f"the url '{url}' ends with a slash", f"write {url.rstrip('/')}"
    fits = re.search(URL, url)
    return None if fits else (f"the url '{url}' is not understood", _ANY_URL)


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None


def vault_problems(root: Fields, name: str) -> Iterator[Problem]:
    """Find what is wrong in a vault: settings its kind needs, and keys that are none."""
    path = ("vaults", name)
    kind = text_at(root, *path, "kind") or ""
    lacks = [key for key in _NEEDED.get(kind, ()) if find(root, (*path, key)) is None]
    if lacks:
        cause = f"the vault '{name}' of kind {kind} needs {listed(lacks)}"
        yield say(
            place_of_key(root, path), cause, "add " + ", ".join(f"'{key}: …'" for key in lacks)
        )
    yield from recipients_problems(root, *path)
    yield from _lock_problems(root, path, kind)
    endpoint = find(root, (*path, "endpoint"))
    value = text_at(endpoint)
    if endpoint and value and not has_template(value) and (wrong := url_problem(value)):
        yield say(endpoint.place, *wrong)


def _lock_problems(root: Fields, path: tuple[str, ...], kind: str) -> Iterator[Problem]:
    """Find a lock that nobody could keep, and half of a second credential."""
    lock = find(root, (*path, "lock"))
    if lock and kind == "folder" and text_at(lock) != "none":
        cause = "a folder cannot lock: who may write into it may delete as well"
        yield say(lock.place, cause, "leave 'lock' out, or take an s3 vault with Object Lock")
    halves = {"expiry_access_key": "expiry_secret_key", "expiry_secret_key": "expiry_access_key"}
    for half, other in halves.items():
        found = find(root, (*path, half))
        if found and find(root, (*path, other)) is None:
            cause = f"'{half}' is half of a credential"
            yield say(place_of_key(root, (*path, half)), cause, f"add '{other}: …'")


def recipients_problems(root: Fields, *path: str) -> Iterator[Problem]:
    """Find what is wrong with the `recipients` of a vault, or of a client (empty path)."""
    for index, item in enumerate(items_at(root, *path, "recipients")):
        key = text_at(root, *path, "recipients", index) or ""
        if key and not has_template(key) and (wrong := recipient_problem(key)):
            yield say(item.place, *wrong)


def recipient_problem(key: str) -> tuple[str, str] | None:
    """Return what is wrong with an age public key, and what to do; None when it is fine."""
    hint = "age-keygen prints it as 'Public key: age1…'"
    if key.upper().startswith("AGE-SECRET-KEY"):
        # never shown back
        return "this is a secret age key, and recipients are public ones", f"{hint}; make a new key"
    if not re.search(RECIPIENT, key):
        return "this is not an age public key (age1 and 58 more characters)", hint
    from pyrage import RecipientError, x25519  # type: ignore[import-untyped]  # shipped untyped

    try:
        x25519.Recipient.from_str(key)
    except RecipientError:
        return "this age public key holds a typing error", f"copy it again; {hint}"
    return None
