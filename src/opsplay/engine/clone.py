"""Copy one environment over another: on one host by a pipe, between hosts through the controller."""

from __future__ import annotations

import threading

from opsplay.core.action import Clone, Shell
from opsplay.core.errors import StepFailed
from opsplay.core.site import Site
from opsplay.core.transport import Channel
from opsplay.engine.acts import run_shell
from opsplay.engine.context import Context
from opsplay.engine.job import Job

_PIECE = 262144
_BETWEEN_HOSTS = threading.Lock()
"""A copy holds a stream on two hosts: several of them could wait for each other for ever."""


def copy(context: Context, clone: Clone, job: Job, environment: str) -> str:
    """Copy files and database, then finish the clone; return what was done in one line.

    Raises StepFailed when any part of a pipe did not end well, LineCut when the line broke between
    two hosts (the copy then starts anew).
    """
    source, target = context.at(clone.source), context.at(environment)
    if source.here.host == target.here.host:
        run_shell(job, Shell(f"{local_script(source, target)}\n(\n{clone.finish}\n)"))
        return f"copied from {clone.source} on the same host"
    with _BETWEEN_HOSTS:
        moved = sum(_carry(context, source, target, what) for what in ("files", "database"))
    run_shell(job, Shell(clone.finish))
    return f"copied from {clone.source}, {moved / 1e6:.1f} MB between hosts"


def local_script(source: Site, target: Site) -> str:
    """Return the script that copies on one host; every stage of both pipes must end well."""
    files = _pipe(source.cms.pack_files(), target.cms.unpack_files(keep_configuration=True))
    database = _pipe(source.cms.dump_database(), target.cms.load_database())
    return f"set -u\n{files}\n{database}"


def _pipe(producer: str, consumer: str) -> str:
    # dash has no pipefail: the producer's status travels beside the pipe, on descriptor 4.
    return (
        f"sent=$( {{ {{ ( exec 4>&-; {producer}\n) 4>&-; echo $? >&4; }} |"
        f' ( exec 4>&-; {consumer}\n) >&2 4>&-; }} 4>&1 ) && [ "$sent" = 0 ] ||'
        ' { echo "copying failed: the sending side ended with ${sent:-nothing}" >&2; exit 1; }'
    )


def _carry(context: Context, source: Site, target: Site, what: str) -> int:
    if what == "files":
        producer = source.cms.pack_files()
        consumer = target.cms.unpack_files(keep_configuration=True)
    else:
        producer, consumer = source.cms.dump_database(), target.cms.load_database()
    sender = context.transport(source.here.name).open(_packed(producer))
    try:
        receiver = context.transport(target.here.name).open(_unpacked(consumer))
        try:
            return _pump(context, sender, receiver, what)
        finally:
            receiver.close()
    finally:
        sender.close()


def _packed(producer: str) -> str:
    # gzip is everywhere; zstd on one side only would be of no use.
    return (
        f"exec 5>&1; sent=$( {{ {{ ( exec 5>&-; {producer}\n) 4>&-; echo $? >&4; }} |"
        ' gzip -1 -c >&5 4>&-; } 4>&1 ) && [ "$sent" = 0 ]'
    )


def _unpacked(consumer: str) -> str:
    return (
        f"sent=$( {{ {{ gzip -dc 4>&-; echo $? >&4; }} | ( {consumer}\n) >&2 4>&-; }} 4>&1 )"
        ' && [ "$sent" = 0 ]'
    )


def _pump(context: Context, sender: Channel, receiver: Channel, what: str) -> int:
    moved = 0
    try:
        while piece := sender.receive(_PIECE):
            receiver.send(piece)
            moved += len(piece)
            context.tools.progress(context.site.name, f"copying {what}", moved, 0)
            context.tools.stop.check()
    except BrokenPipeError:
        answer = receiver.finish(60)
        raise StepFailed(f"copying {what} failed: {answer.stderr.strip()[-500:]}") from None
    sent = sender.finish(60)
    if not sent.ok:
        # The receiver must not take a short stream for the whole: it is cut, not ended.
        raise StepFailed(f"reading {what} failed: {sent.stderr.strip()[-500:]}")
    receiver.send_eof()
    got = receiver.finish(3600)
    if not got.ok:
        raise StepFailed(f"writing {what} failed: {got.stderr.strip()[-500:]}")
    return moved
