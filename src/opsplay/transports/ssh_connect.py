"""Opens SSH connections with Fabric: ssh_config, agent, keys, jump hosts, strict host keys."""

from __future__ import annotations

import functools
import getpass
import logging
import socket
from collections.abc import Mapping
from typing import Any

import paramiko
from fabric import Config, Connection
from paramiko.auth_strategy import AuthFailure
from paramiko.ssh_exception import NoValidConnectionsError

from opsplay.core.environment import Host
from opsplay.core.errors import InvalidInput, LoginRefused, OpsplayError, Unreachable
from opsplay.kit import shell
from opsplay.transports.host_keys import (
    Identity,
    KeySeen,
    OnlyLook,
    StrictKeys,
    identity,
    refusal,
    remember,
)
from opsplay.transports.known_hosts import Verdict, fingerprint
from opsplay.transports.meter import Meter
from opsplay.transports.ssh_config import known_hosts_files, lookup
from opsplay.transports.ssh_line import LineTransport
from opsplay.transports.ssh_login import KeyLogin

# Fabric ships untyped.
_Config: Any = Config
_Parent: Any = Connection


class _Connection(_Parent):  # type: ignore[misc]  # untyped, see above
    """Fabric's, whose attributes are attributes: Invoke looks through `dir()` at each setting."""

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


_SETTINGS = {
    "authentication": {"identities": [], "strategy_class": KeyLogin},
    "connect_kwargs": {},
    "forward_agent": False,
    "gateway": None,
    "inline_ssh_env": True,
    "port": 22,
    "timeouts": {"connect": None},
}
"""Fabric's settings, as far as opening a connection looks at them; the rest is about `run`."""

CONNECT_TIMEOUT = 10
"""Seconds, unless ssh_config has a ConnectTimeout."""
_MOST_JUMPS = 8

# paramiko logs tracebacks of every refused connection; what a person needs is in our errors.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Connected:
    """An open Fabric connection, with the jump hosts it goes through."""

    def __init__(self, connection: Any, meter: Meter) -> None:
        self._connection = connection
        meter.connected()

    @property
    def transport(self) -> LineTransport:
        """Return the SSH line."""
        line: LineTransport = self._connection.transport
        return line

    def close(self) -> None:
        """Close the line and those it goes through."""
        _close(self._connection)


def connect(host: Host, meter: Meter) -> Connected:
    """Return an open connection.

    Raises:
        HostKeyRefused: the key is unknown, has changed or is revoked, here or on a jump host.
        LoginRefused: the host accepts none of the keys.
        Unreachable: anything else that keeps us from getting there.
    """
    connection = _connection(host, meter)
    _open(connection, host)
    return Connected(connection, meter)


def accept_host_key(host: Host, expected: str = "") -> str:
    """Ask the host for its key, write it into known_hosts, and return what was done, as a text.

    `expected` is the fingerprint (`SHA256:…`) that the key must have. A key that replaces another
    one is accepted by its fingerprint only.

    Raises:
        HostKeyRefused: the key is not the expected one, is revoked, or would replace another.
        Unreachable: the host could not be asked.
    """
    connection = _connection(host, Meter())
    who = _identity(host, connection.host, connection.port, connection.ssh_config)
    key = _look(connection, host)
    shown = f"{key.get_name()} {fingerprint(key.asbytes())}"
    verdict, lines = who.judge(key)
    if verdict is Verdict.KNOWN:
        return f"{host} was known already: {shown}"
    as_expected = expected == fingerprint(key.asbytes())
    if verdict is Verdict.REVOKED or not (
        as_expected or (verdict is Verdict.UNKNOWN and not expected)
    ):
        raise refusal(host, verdict, key, lines)
    file = remember(who, key, lines)
    return f"{host} is known from now on by {shown} (written to {file})"


def _look(connection: Any, host: Host) -> paramiko.PKey:
    connection.client.set_missing_host_key_policy(OnlyLook())
    try:
        _open(connection, host)
    except KeySeen as seen:
        return seen.key
    raise AssertionError("the policy ends every handshake")


def _connection(host: Host, meter: Meter, through: Any = None, jumps: int = 0) -> Any:
    """Return a Fabric connection that is not open yet, with a configuration of its own.

    A Config shared by threads races (`No attribute or config key found for 'gateway'`); a lazy one
    reads none of Fabric's and Invoke's own files, which are not ours to obey.
    """
    if jumps > _MOST_JUMPS:
        raise InvalidInput(f"host {host}: ProxyJump goes in circles in ssh_config")
    known = lookup(host)
    settings = _SETTINGS | {"user": getpass.getuser()}
    config = _Config(ssh_config=known, lazy=True, defaults=settings)
    options = known.options
    gateway = through or _gateway(host, options, meter, jumps)
    address = options.get("hostname", host.address)
    who = _identity(host, address, host.port or int(options.get("port", 22)), options)
    # Bytes are counted where they leave this machine: on the first line of a chain of jumps.
    counted = Meter() if isinstance(gateway, _Connection) else meter
    factory = functools.partial(LineTransport, meter=counted, known_kinds=who.kinds())
    connection = _Connection(
        host.address,
        user=host.user or None,
        port=host.port or None,
        config=config,
        gateway=gateway,
        connect_timeout=None if "connecttimeout" in options else CONNECT_TIMEOUT,
        # Given here: whatever is set later makes Invoke merge all of its settings again.
        connect_kwargs={"transport_factory": factory},
    )
    connection.client.set_missing_host_key_policy(StrictKeys(who))
    return connection


def _identity(host: Host, address: str, port: int, options: Mapping[str, Any]) -> Identity:
    alias = options.get("hostkeyalias", "")
    return identity(host, address, port, alias, known_hosts_files(options))


def _gateway(host: Host, options: Any, meter: Meter, jumps: int) -> Any:
    """Return the connection to the last jump host, a ProxyCommand, or False for a direct line.

    Built here because Fabric's own jump hosts would accept any key, and go in reverse order.
    """
    hops = options.get("proxyjump", "")
    if not hops or hops.lower() == "none":
        return options.get("proxycommand") or False
    gateway: Any = None
    for hop in hops.split(","):
        jump = _parse_hop(hop.strip(), host)
        if jump.address in (host.address, options.get("hostname")):
            return False  # `Host *` with ProxyJump covers the jump host itself
        gateway = _connection(jump, meter, gateway, jumps + 1)
    return gateway


def _parse_hop(text: str, host: Host) -> Host:
    user, _, address = text.removeprefix("ssh://").rpartition("@")
    name, _, port = address.rpartition(":")
    if name and port.isdigit() and (name.startswith("[") or ":" not in name):
        return Host(name.strip("[]"), user, int(port), host.ssh_config)
    return Host(address.strip("[]"), user, 0, host.ssh_config)


def _open(connection: Any, host: Host) -> None:
    through = connection.gateway
    if isinstance(through, _Connection):
        _open(through, Host(through.host, through.user, through.port, host.ssh_config))
    try:
        connection.open()
    except (OpsplayError, KeySeen):
        _close(connection)
        raise
    except (paramiko.SSHException, OSError, EOFError) as error:
        _close(connection)
        raise _explained(error, connection, host) from error


def _close(connection: Connection) -> None:
    # Fabric's own close does nothing for a line that broke or never came up.
    client: Any = connection.client
    client.close()
    if isinstance(connection.gateway, _Connection):
        _close(connection.gateway)


def _explained(error: Exception, connection: Any, host: Host) -> Unreachable:
    command = ["ssh", "-v"]
    command += ["-F", host.ssh_config] if host.ssh_config else []
    command += ["-p", str(host.port)] if host.port else []
    command += [f"{host.user}@{host.address}" if host.user else host.address, "true"]
    kind = LoginRefused if _login_refused(error) else Unreachable
    return kind(
        _cause(error, connection, host),
        state="nothing was done there",
        next_command=shell.command(*command),
    )


def _login_refused(error: Exception) -> bool:
    # The strategy collects whatever happened to each key; a line that broke is no refusal.
    if not isinstance(error, AuthFailure):
        return isinstance(error, paramiko.AuthenticationException)
    outcomes = [attempt.result for attempt in error.result]
    return not outcomes or any(
        isinstance(one, paramiko.AuthenticationException) for one in outcomes
    )


def _cause(error: Exception, connection: Any, host: Host) -> str:
    where = f"{connection.host} port {connection.port}"
    match error:
        case socket.gaierror():
            cause = f"there is no host named {connection.host}"
        case NoValidConnectionsError():
            cause = f"nothing accepts SSH connections on {where}"
        case TimeoutError():
            cause = f"no answer from {where} within {connection.connect_timeout} s"
        case AuthFailure() if _login_refused(error):
            count = len(error.result)
            tried = f"{count} key{'s' if count > 1 else ''} tried" if count else "no key was found"
            cause = f"{connection.user} may not log in ({tried})"
        case AuthFailure():
            cause = f"the line broke during the login of {connection.user}"
        case paramiko.ChannelException():
            cause = f"the jump host cannot reach {where} ({error.text})"
        case _:
            detail = str(error) or type(error).__name__
            cause = f"{where} did not complete the SSH handshake ({detail})"
    return f"{host}: {cause}"
