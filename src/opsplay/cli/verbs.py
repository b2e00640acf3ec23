"""All verbs in one collection: `opsplay VERB` and `invoke VERB` alike."""

from __future__ import annotations

from invoke import Collection

from opsplay.cli import (
    approving,
    beginning,
    cancelling,
    developing,
    drilling,
    erasing,
    keeping,
    playing,
    reading,
    scheduling,
    vaulting,
    working,
)


def _made() -> Collection:
    root = Collection(
        playing.run, playing.check_verb, playing.resume, playing.rollback, playing.restore,
        cancelling.cancel,
        drilling.drill,
        approving.approve,
        working.serve, working.workers,
        erasing.erase, erasing.erasures,
        reading.doctor, reading.version,
        beginning.init, beginning.demo, developing.run_tests, developing.bench,
        developing.soak,
    )  # fmt: skip
    groups = (
        Collection(
            "lab", beginning.lab_up, beginning.lab_down, beginning.lab_status, beginning.lab_reset
        ),
        Collection("hosts", beginning.accept),
        Collection("dev", developing.lint, developing.schema),
        Collection("vault", vaulting.probe, vaulting.setup),
        Collection("schedule", scheduling.list_, scheduling.tick, scheduling.install),
    )
    for group in groups:
        root.add_collection(group)
    # `logs` is a verb and a group: Invoke allows that as a group's default.
    logs = Collection("logs", reading.verify)
    logs.add_task(reading.logs, name="list", default=True)
    root.add_collection(logs)
    backups = Collection("backups", keeping.verify, keeping.expire, keeping.clear)
    backups.add_task(keeping.backups, name="list", default=True)
    root.add_collection(backups)
    return root


namespace = _made()
