"""Procrastinate as the courier: a queue in the journal's database, in a schema that may be lost."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from opsplay.core.errors import OpsplayError

if TYPE_CHECKING:
    from procrastinate import App
    from procrastinate.worker import Worker

T = TypeVar("T")

SCHEMA = "opsplay_queue"
"""The schema of Procrastinate's tables; `DROP SCHEMA opsplay_queue CASCADE` loses nothing."""
_TASK = "opsplay.run"
_QUEUE = "runs"
_LOCK = 0x6F70_7371
"""The advisory lock of who makes the tables."""
_GONE = ("42", "3F")
"""Classes of SQLSTATE that say that a table, a function or the schema is not there."""
_ASLEEP = 5000
"""Milliseconds."""
_POLLING = 1.0
"""Seconds between looks for runs whose moment has come; of new ones the database tells at once."""


class PostgresCourier:
    """Runs are queued once each, and those of one site are brought one after the other."""

    def __init__(self, url: str, name: str = "", *, at_once: int = 1, patience: float = 60) -> None:
        """Connect to the queue, making it where there is none. Raises OpsplayError.

        `at_once`: runs brought at the same time. `patience`: seconds of silence after which another
        worker is taken for dead, and what it was brought is forgotten.
        """
        self._url = url
        self._name = name
        self._at_once = at_once
        self._patience = patience
        self._stopped = False
        self._stop_worker: Callable[[], object] = _nothing
        self._sender: App | None = None
        self._sending = threading.Lock()
        _be_quiet()
        with _translated():
            self._make()

    def submit(self, run: str, site: str, not_before: datetime | None = None) -> None:
        def send() -> None:
            from procrastinate.exceptions import AlreadyEnqueued

            # The queueing lock makes it idempotent. The lock keeps runs of a site apart, also from one
            # whose moment has not come: that one goes without, and the journal keeps them apart.
            lock = site if site and not_before is None else None
            task = self._app().configure_task(
                _TASK, queue=_QUEUE, lock=lock, queueing_lock=run, schedule_at=not_before
            )
            with suppress(AlreadyEnqueued):
                task.defer(run=run)

        with self._sending:
            self._mended(send)

    def queued(self) -> frozenset[str]:
        """Return the runs that wait to be brought to somebody."""

        def ask() -> frozenset[str]:
            jobs = self._app().job_manager.list_jobs(queue=_QUEUE, status="todo")
            return frozenset(str(job.task_kwargs["run"]) for job in jobs)

        with self._sending:
            return self._mended(ask)

    def serve(self, execute: Callable[[str], None]) -> None:
        while not self._stopped:
            try:
                self._mended(lambda: asyncio.run(self._serve(execute)))
            except OpsplayError:
                # The database went away. Whatever was under way has ended, or will be taken over.
                threading.Event().wait(_POLLING)

    def stop(self) -> None:
        self._stopped = True
        self._stop_worker()

    def close(self) -> None:
        """Let go of the connection that submits."""
        with self._sending:
            if self._sender is not None:
                self._sender.close()
                self._sender = None

    async def _serve(self, execute: Callable[[str], None]) -> None:
        from procrastinate import App, PsycopgConnector

        loop = asyncio.get_running_loop()
        app = App(connector=PsycopgConnector(**self._pool(self._at_once + 4)))
        app.task(name=_TASK, queue=_QUEUE)(_bringing(execute))
        # One thread more than runs: the driver itself must never wait for one.
        threads = ThreadPoolExecutor(self._at_once + 1, thread_name_prefix="run")
        loop.set_default_executor(threads)
        async with app.open_async():
            worker = self._worker(app)
            # From a signal's handler, too: only this wakes the loop.
            self._stop_worker = lambda: loop.call_soon_threadsafe(worker.stop)
            burying = loop.create_task(self._bury(app))
            try:
                if not self._stopped:
                    await worker.run()  # type: ignore[no-untyped-call]
            finally:
                self._stop_worker = _nothing
                burying.cancel()

    def _worker(self, app: App) -> Worker:
        from procrastinate.worker import Worker

        return Worker(
            app,
            queues=[_QUEUE],
            name=self._name,
            concurrency=self._at_once,
            fetch_job_polling_interval=_POLLING,
            delete_jobs="always",
            install_signal_handlers=False,
            update_heartbeat_interval=self._patience / 6,
            stalled_worker_timeout=self._patience,
        )

    async def _bury(self, app: App) -> None:
        """Forget what was brought to workers that died: it would keep its sites locked for ever."""
        from procrastinate.exceptions import ProcrastinateException
        from procrastinate.jobs import Status

        while True:
            with suppress(ProcrastinateException):  # the worker itself meets it too, and tells
                for job in await app.job_manager.get_stalled_jobs(
                    queue=_QUEUE, seconds_since_heartbeat=self._patience
                ):
                    await app.job_manager.finish_job(job, Status.FAILED, delete_job=True)
            await asyncio.sleep(self._patience / 4)

    def _pool(self, most: int) -> dict[str, Any]:
        # A process that falls asleep while it fetches a run must not keep it from the others.
        options = f"-c search_path={SCHEMA} -c idle_in_transaction_session_timeout={_ASLEEP}"
        kwargs = {"options": options, "application_name": "opsplay queue", "connect_timeout": 10}
        return {"conninfo": self._url, "kwargs": kwargs, "min_size": 1, "max_size": most}

    def _app(self) -> App:
        if self._sender is None:
            from procrastinate import App, SyncPsycopgConnector

            self._sender = App(connector=SyncPsycopgConnector(**self._pool(2)))
            self._sender.open()
        return self._sender

    def _mended(self, work: Callable[[], T]) -> T:
        """Do what needs the queue; where its tables are gone, make them and do it again."""
        with _translated():
            try:
                return work()
            except Exception as error:
                if not _tables_are_gone(error):
                    raise
            self._make()
            return work()

    def _make(self) -> None:
        import psycopg
        from procrastinate.schema import SchemaManager

        with psycopg.connect(self._url, connect_timeout=10) as connection:
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if not _whole(connection):
                connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
                connection.execute(f"CREATE SCHEMA {SCHEMA}")
                connection.execute(f"SET LOCAL search_path TO {SCHEMA}")
                connection.execute(SchemaManager.get_schema())


def _nothing() -> None:
    pass


def _be_quiet() -> None:
    # It tells of each failure by itself, at length; we say what matters in our own words.
    for name in ("procrastinate", "psycopg.pool"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


@contextmanager
def _translated() -> Iterator[None]:
    try:
        import psycopg
        from procrastinate.exceptions import ProcrastinateException
    except ImportError as error:
        raise OpsplayError(
            "workers need Procrastinate and psycopg, which are not installed",
            state="nothing was done",
            next_command="pip install 'opsplay[workers]'",
        ) from error
    try:
        yield
    except (psycopg.Error, ProcrastinateException) as error:
        cause = str(error.__cause__ or error).strip()
        raise OpsplayError(
            f"the queue of runs could not be used: {cause}",
            state="the journal knows every run that was submitted; workers find it there",
            next_command="invoke workers",
        ) from error


def _bringing(execute: Callable[[str], None]) -> Callable[..., None]:
    def bring(run: str) -> None:
        execute(run)

    return bring


def _whole(connection: Any) -> bool:
    """Return whether all that Procrastinate made is there: somebody may have dropped a part."""
    query = (
        "SELECT (SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(s)s AND c.relkind = 'r'), (SELECT count(*) FROM pg_proc p"
        " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = %(s)s)"
    )
    tables, functions = connection.execute(query, {"s": SCHEMA}).fetchone()
    return bool(tables >= _TABLES and functions)


_TABLES = 4
"""Jobs, events, periodic defers, workers: what Procrastinate 3 makes."""


def _tables_are_gone(error: BaseException | None) -> bool:
    while error is not None:
        if str(getattr(error, "sqlstate", "") or "").startswith(_GONE):
            return True
        error = error.__cause__ or error.__context__
    return False
