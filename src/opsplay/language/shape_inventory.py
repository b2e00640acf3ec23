"""What an inventory file looks like, as JSON Schema; `shape` has the playbook's."""

from __future__ import annotations

from opsplay import cms
from opsplay.core.drivers import driver_names
from opsplay.language.dialect import DIALECT, ENVIRONMENTS, TAG, free, group, listing, text
from opsplay.language.schema import TEMPLATE, Schema, or_template, secret_schema

HOST = r"^(local|([A-Za-z0-9._-]+@)?([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)$"
URL = r"^https?://[^/\s@]+(/[^\s?#]*[^/\s?#])?$"
ROOT = "^/.*[^/]$"
RECIPIENT = "^age1[02-9ac-hj-np-z]{58}$"
NAME = "^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"
_NAME_WORDS = "may hold small letters, digits, '.', '_' and '-' only"
_DURATION = "^[1-9][0-9]*(m|h|d)$"


def _open(schema: Schema) -> Schema:
    """Return the schema with templates allowed, as in every value of an inventory."""
    return or_template(schema)


def environment() -> Schema:
    """Return one environment of a site."""
    properties = {
        "host": _open(
            text(
                "Where SSH goes: `[user@]name[:port]`, a Host of your ssh_config, or `local`.",
                "deploy@web12.example",
                "local",
                pattern=HOST,
                words="must look like user@name:port, or be local",
            )
        ),
        "root": _open(
            text(
                "Absolute path of the CMS's root directory on the host.",
                "/home/shop/www",
                pattern=ROOT,
                words="must be an absolute path, without a slash at the end",
            )
        ),
        "url": _open(
            text(
                "Address of the home page, without a slash at the end.",
                "https://bakery.example",
                pattern=URL,
                words="must begin with http:// or https:// and not end with a slash",
            )
        ),
        "error_log": _open(
            text(
                "Path of PHP's error log on the host; left out: the usual places.",
                "/var/log/php.log",
            )
        ),
    }
    return group("One installation of the site.", properties, "host", "root", "url")


def promises() -> Schema:
    """Return what the client was promised."""
    duration = {"pattern": _DURATION, "words": "must be a time such as 30m, 4h or 2d"}
    properties = {
        "back_within": _open(text("Longest time until the site is back.", "4h", **duration)),
        "lose_at_most": _open(text("Most work that may be lost.", "24h", **duration)),
        "drill_every": {
            "enum": ["week", "month", "quarter", "year"],
            "description": "How often a restore is rehearsed.",
        },
    }
    return group("What the client was promised.", properties)


def contact() -> Schema:
    """Return one person or desk to tell."""
    properties = {
        "name": _open(text("Whom to ask for.", "the shop's desk")),
        "email": _open(
            text("Mail address.", "desk@bakery.example", pattern="^[^@\\s]+@[^@\\s]+$",
                 words="must be a mail address")
        ),
        "phone": _open(text("Telephone number, in quotes.", "+33 1 23 45 67 89")),
        "role": _open(text("What for.", "owner")),
    }  # fmt: skip
    return group("Somebody to tell.", properties)


def site() -> Schema:
    """Return one site."""
    names = list(driver_names())
    every = {name: environment() for name in ENVIRONMENTS}
    properties = {
        "cms": {"description": "The CMS.", "type": "string"} | ({"enum": names} if names else {}),
        "tags": listing("For patterns such as `tag:monthly`.", TAG),
        "plan": {
            "enum": ["essentiel", "business", "critique"],
            "default": "essentiel",
            "description": "The client's maintenance plan.",
        },
        "keep_years": {
            "type": "integer",
            "minimum": 1,
            "maximum": 30,
            "description": "Years that the first full backup of each year is kept, by contract;"
            " left out: no longer than the plan keeps anything.",
            "examples": [5],
        },
        "vault": _open(text("Where this site's backups go: a name under `vaults`.", "offsite")),
        "vars": free("Variables for templates in playbooks."),
        "promises": promises(),
        "contacts": listing("Whom to tell.", contact()),
        "language": text("Language of the client's reports.", "fr", pattern="^[a-z]{2}(-[A-Z]{2})?$",
                         words="must be a language code such as en, fr or pt-BR"),
        "environments": group("Where the site lives.", every, "production"),
    }  # fmt: skip
    return group("One CMS installation of the client.", properties, "cms", "environments")


def _way_there() -> Schema:
    """Return how a backup travels into a vault."""
    return {
        "transport": {
            "enum": ["auto", "direct", "relay"],
            "default": "auto",
            "description": "How a backup travels: `direct` from the host to the storage, `relay` over"
            " SSH through this machine; `auto` tries whether the host reaches the storage.",
        },
        "limit_rate": {
            "type": "integer",
            "minimum": 10_000,
            "description": "Bytes a second that a host may send at most.",
            "examples": [1_000_000],
        },
    }


def vault() -> Schema:
    """Return one vault."""
    recipient = text("An age public key.", pattern=RECIPIENT, words="is not an age public key")
    endpoint = text("Address of the S3 service.", "https://s3.eu-west.example", pattern=URL,
                    words="must begin with http:// or https:// and not end with a slash")  # fmt: skip
    properties = {
        "kind": {
            "enum": ["s3", "folder", "memory"],
            "description": "`s3`; `folder` on this machine; `memory` for trying out.",
        },
        "endpoint": _open(endpoint),
        "region": _open(text("Region of the S3 service.", "eu-west-3")) | {"default": "us-east-1"},
        "bucket": _open(
            text("The bucket, which exists already.", "agency-backups",
                 pattern="^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
                 words="must be 3 to 63 small letters, digits, '.' and '-'")
        ),
        "folder": _open(text("Where a `folder` vault lives.", "/srv/backups")),
        "access_key": secret_schema("Access key of the storage."),
        "secret_key": secret_schema("Secret key of the storage."),
        "recipients": listing(
            "age public keys that backups are encrypted for; all that a host ever sees.",
            _open(recipient),
        ),
        "identity": secret_schema("age identity; needed only to restore, never sent to a host."),
        "lock": {
            "enum": ["none", "governance", "compliance"],
            "default": "none",
            "description": "S3 Object Lock of every object: until its date, `governance` can be"
            " lifted by an administrator, `compliance` by nobody. The bucket must allow it.",
        },
        **_way_there(),
        "expiry_access_key": secret_schema(
            "Access key of the second credential, the only one that may delete."
        ),
        "expiry_secret_key": secret_schema("Secret key of the second credential."),
        "signing_key": secret_schema(
            "OpenSSH private key (ed25519) that manifests are signed with; the controller's own"
            " if left out."
        ),
    }  # fmt: skip
    return group("A place for backups.", properties, "kind")


def _named(description: str, items: Schema) -> Schema:
    return {
        "type": "object",
        "description": description,
        "propertyNames": {"pattern": NAME, "patternErrorMessage": _NAME_WORDS},
        "additionalProperties": items,
        "minProperties": 1,
    }


def inventory_schema() -> Schema:
    """Return the schema of one inventory file: a client's sites, or the vaults, or both."""
    cms.load()
    path = text("Path, relative to this file.", "facts.yaml")
    config = _open(text("Path of an ssh_config file for the hosts of this file.", "ssh_config"))
    properties = {
        "client": _open(text("The client, as shown in reports.", "Boulangerie")),
        "recipients": listing(
            "age public keys of this client: they replace the vault's for the sites of this file.",
            _open(text("An age public key.", pattern=RECIPIENT, words="is not an age public key")),
        ),
        "identity": secret_schema("age identity of this client; needed only to restore its sites."),
        "vars_files": listing("Files whose values templates in this file may use.", path),
        "ssh": group("How SSH connects.", {"config": config}),
        "sites": _named("The client's sites, by name.", site()),
        "vaults": _named("Places for backups, by name.", vault()),
    }
    frame = group("An opsplay inventory file.", properties)
    del frame["required"]
    return {"$schema": DIALECT, "title": "opsplay inventory"} | frame


__all__ = ["HOST", "NAME", "RECIPIENT", "ROOT", "TEMPLATE", "URL", "inventory_schema"]
