"""What an inventory must know of a lab, as flat data in `facts.yaml`."""

from __future__ import annotations

import json
import re

from opsplay.lab import database, storage
from opsplay.lab.commands import run
from opsplay.lab.places import HOSTS, Places


def facts(places: Places) -> dict[str, str]:
    """Return the facts: `lab_*` of the lab itself, `<site>_<environment>_*` of installations."""
    secret = places.secrets
    known = {
        "lab_directory": str(places.directory),
        "lab_ssh_config": str(places.ssh / "config"),
        "lab_source_url": places.source_url,
        "lab_s3_endpoint": places.s3_url,
        "lab_s3_relay_endpoint": f"http://127.0.0.1:{places.port('s3-relay')}",
        "lab_s3_region": storage.REGION,
        "lab_s3_bucket": storage.BUCKET,
        "lab_s3_access_key_file": str(secret / "s3-access-key"),
        "lab_s3_secret_key_file": str(secret / "s3-secret-key"),
        "lab_s3_writer_access_key_file": str(secret / "s3-writer-access-key"),
        "lab_s3_writer_secret_key_file": str(secret / "s3-writer-secret-key"),
        **{
            f"lab_s3_{who}_{one}_key_file": str(secret / f"s3-{who}-{one}-key")
            for who in ("daily", "expiry")
            for one in ("access", "secret")
        },
        "lab_age_identity_file": str(secret / "age-identity"),
        "lab_age_recipient": _recipient(places),
        **{f"lab_{host}_home": str(places.home(host)) for host in HOSTS},
    }
    for one in places.environments():
        prefix = one.key.replace("-", "_")
        known |= {
            f"{prefix}_host": f"lab-{one.host}",
            f"{prefix}_root": str(one.root),
            f"{prefix}_url": one.url,
            f"{prefix}_error_log": str(one.error_log),
            f"{prefix}_database": one.database,
            f"{prefix}_database_password_file": str(database.password_file(places, one)),
            f"{prefix}_mail": str(one.mail),
        }
    return known


def write(places: Places) -> None:
    """Make the age identity where it is missing and write `facts.yaml`."""
    identity = places.secrets / "age-identity"
    if not identity.exists():
        run("age-keygen", "-o", identity)
    lines = [f"{name}: {json.dumps(value)}\n" for name, value in facts(places).items()]
    (places.directory / "facts.yaml").write_text("".join(lines))


def _recipient(places: Places) -> str:
    found = re.search(r"public key: (\S+)", (places.secrets / "age-identity").read_text())
    return found[1] if found else ""
