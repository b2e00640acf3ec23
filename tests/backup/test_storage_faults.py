"""What a storage, or what is on the way to it, can do to a backup: the list, each case by its name."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.backup.fault_proxy import Asked, Fault, FaultProxy
from tests.backup.hosting import Hosting, dump, settings
from tests.vaults.seaweed import Seaweed

from opsplay.core.errors import StepFailed, StorageUnreachable, VaultRefused
from opsplay.core.vault import VaultSettings
from opsplay.vaults import open_vault

pytestmark = [pytest.mark.real, pytest.mark.proof]

Rule = Callable[[Asked], Fault]


def put(fault: Fault, often: Callable[[Asked], bool] = lambda asked: asked.of_path == 1) -> Rule:
    """Return a rule: each segment's first PUT by the host, unless told otherwise, meets the fault."""

    def rule(asked: Asked) -> Fault:
        hit = asked.method == "PUT" and "preflight" not in asked.path and often(asked)
        return fault if hit else ""

    return rule


def head(fault: Fault, times: int) -> Rule:
    def rule(asked: Asked) -> Fault:
        hit = asked.method == "HEAD" and "shop" in asked.path and asked.of_path <= times
        return fault if hit else ""

    return rule


def either(*rules: Rule) -> Rule:
    return lambda asked: next((fault for rule in rules if (fault := rule(asked))), "")


ALWAYS = lambda _asked: True  # noqa: E731

OVERCOME: dict[str, Rule] = {
    "500 after the body was read": put("500-after-body"),
    "503 slow down": put("503"),
    "503 six times in a row": put("503", lambda asked: asked.of_path <= 6),
    "400 because a byte was flipped on the way (BadDigest)": put("flip"),
    "a byte flipped four times": put("flip", lambda asked: asked.of_path <= 4),
    "403 because the URL grew old": put("expired"),
    "reset before the body": put("reset"),
    "reset in the middle of the body": put("reset-mid-body"),
    "the reply is lost": put("lose-reply"),
    "a faked 200 that kept nothing": put("fake-200"),
    "the object shows late": head("404", 2),
    "the object shows very late, so that it is sent again and refused with 412": head("404", 5),
    "the reply is lost and the object shows late: 412 on the second try": either(
        put("lose-reply"), head("404", 1)
    ),
}
GIVEN_UP: dict[str, tuple[Rule, str]] = {
    "403 for ever": (put("403", ALWAYS), "refused .*: HTTP 403"),
    "expired for ever": (put("expired", ALWAYS), "is not in vault lab: HTTP 403 AccessDenied"),
    "403 because the clocks differ": (put("skewed", ALWAYS), "this machine's clock is wrong"),
    "the storage is full (507)": (put("507", ALWAYS), "refused .*: HTTP 507 XMinioStorageFull"),
    "a byte flipped for ever": (put("flip", ALWAYS), "is not in vault lab: HTTP 400"),
    "a storage that never keeps what it takes": (put("fake-200", ALWAYS), "HTTP 200"),
    "503 for ever": (put("503", ALWAYS), "is not in vault lab: HTTP 503"),
    "HEAD lies about the size": (head("lie-about-size", 99), "holds something else under"),
    "HEAD tells another sum": (head("lie-about-sum", 99), "holds something else under"),
}


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the spool out of the home of whoever runs the tests."""
    (tmp_path / "own-home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "own-home"))


@dataclass
class Storage:
    """A bucket behind a proxy that misbehaves, and a host that saves into it."""

    proxy: FaultProxy
    settings: VaultSettings

    def hosting(self, **changes: object) -> Hosting:
        through = replace(self.settings, endpoint=self.proxy.endpoint)
        return Hosting(vault=open_vault(through), settings=replace(through, **changes))


@pytest.fixture(scope="module")
def bucket(seaweed: Seaweed) -> VaultSettings:
    return seaweed.settings(recipients=settings().recipients)


@pytest.fixture
def storage(proxy: FaultProxy, bucket: VaultSettings) -> Storage:
    return Storage(proxy, bucket)


@pytest.mark.parametrize("name", OVERCOME)
def test_what_passes_is_overcome(storage: Storage, name: str):
    hosting = storage.hosting()
    assert hosting.vault.checksum == "sha256"
    storage.proxy.rule = OVERCOME[name]

    (saved,) = hosting.save(dump())

    storage.proxy.rule = lambda _asked: ""
    assert len(storage.proxy.faults) >= len(saved.segments)
    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256
    assert hosting.tools["upload"] == "curl"


@pytest.mark.parametrize("name", GIVEN_UP)
def test_what_does_not_pass_is_given_up_in_plain_words(storage: Storage, name: str):
    rule, says = GIVEN_UP[name]
    hosting = storage.hosting()
    assert hosting.vault.checksum == "sha256"
    storage.proxy.rule = rule

    with pytest.raises(VaultRefused, match=says) as caught:
        hosting.save(dump())

    assert caught.value.state == "no backup was sealed by this attempt"


def test_a_lost_reply_costs_no_second_put(storage: Storage):
    hosting = storage.hosting()
    assert hosting.vault.checksum == "sha256"
    storage.proxy.rule = put("lose-reply")

    hosting.save(dump())

    paths = [
        one.path
        for one in storage.proxy.asked
        if one.method == "PUT" and "preflight" not in one.path
    ]
    assert len(paths) == len(set(paths)) + 0
    assert hosting.retried == []


def test_a_storage_that_is_gone_is_unreachable(storage: Storage, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)
    hosting = storage.hosting()
    assert hosting.vault.checksum == "sha256"
    storage.proxy.rule = lambda asked: "503" if asked.method == "HEAD" else ""

    with pytest.raises(StorageUnreachable, match="in trouble"):
        hosting.save(dump())


@pytest.mark.parametrize("fault", ["stall", "slow"])
def test_a_storage_that_stops_reading_is_left_and_tried_again(storage: Storage, fault: Fault):
    hosting = storage.hosting()
    assert hosting.vault.checksum == "sha256"
    hosting.patience = 1
    hosting.segment_bytes = 8 << 20  # more than the buffers between us hold
    storage.proxy.rule = put(fault)

    (saved,) = hosting.save(dump(7_000_000))

    storage.proxy.rule = lambda _asked: ""
    assert "too slow" in hosting.retried[0].lower()
    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256


class Misdirected:
    """A vault whose signed URLs lead elsewhere: what a host meets that sees another network than we."""

    def __init__(self, vault, place: str) -> None:
        self.vault, self.place = vault, place

    def __getattr__(self, name: str):
        return getattr(self.vault, name)

    def sign_put(self, *words, **named):
        signed = self.vault.sign_put(*words, **named)
        _scheme, _, _host, rest = signed.url.split("/", 3)
        return replace(signed, url=f"{self.place}/{rest}")


@contextmanager
def untrusted(folder: Path) -> Iterator[str]:
    """Serve TLS with a certificate that nobody vouches for."""
    words = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
    ]
    words += ["-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "cert.pem", "-days", "2"]
    subprocess.run(words, cwd=folder, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    line, _ = server.accept()
                    with context.wrap_socket(line, server_side=True) as secure:
                        secure.recv(1)
                except ssl.SSLError:
                    continue
                except OSError:
                    return

        threading.Thread(target=serve, daemon=True).start()
        yield f"https://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


PLACES = {
    "a name that does not resolve": ("http://nowhere.invalid", r"Could not resolve|resolve host"),
    "a port where nobody listens": ("http://127.0.0.1:9", "Failed to connect|Connection refused"),
    "TLS with a certificate that nobody vouches for": ("", "certificate"),
    "TLS where none is spoken": ("https://127.0.0.1:{port}", "SSL|TLS|wrong version"),
}


@pytest.fixture
def place(request: pytest.FixtureRequest, storage: Storage, tmp_path: Path) -> Iterator[str]:
    where = PLACES[request.param][0].format(port=storage.proxy.port)
    if where:
        yield where
    else:
        with untrusted(tmp_path) as where:
            yield where


@pytest.mark.parametrize("place", PLACES, indirect=True)
def test_a_host_that_cannot_get_there_is_relayed(storage: Storage, place: str):
    hosting = storage.hosting()
    hosting.vault = Misdirected(hosting.vault, place)

    (saved,) = hosting.save(dump())

    assert hosting.tools["upload"] == "relay"
    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256


@pytest.mark.parametrize(("place", "name"), [(name, name) for name in PLACES], indirect=["place"])
def test_where_relaying_is_forbidden_the_reason_is_told(storage: Storage, place: str, name: str):
    hosting = storage.hosting(transport="direct")
    hosting.vault = Misdirected(hosting.vault, place)

    with pytest.raises(VaultRefused, match=PLACES[name][1]):
        hosting.save(dump())


def test_a_proxy_that_wants_a_password_is_a_barred_way(storage: Storage):
    hosting = storage.hosting()
    assert hosting.vault.checksum == "sha256"
    storage.proxy.rule = lambda asked: "407" if asked.by_curl else ""

    (saved,) = hosting.save(dump())

    assert "HTTP 407" in hosting.tools["upload why"]
    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256


@pytest.mark.parametrize("name", ["503", "fake-200", "lose-reply", "reset-mid-body"])
def test_what_passes_is_overcome_when_we_send_ourselves(storage: Storage, name: Fault):
    hosting = storage.hosting(transport="relay")
    assert hosting.vault.checksum == "sha256"
    storage.proxy.rule = put(name)

    (saved,) = hosting.save(dump())

    storage.proxy.rule = lambda _asked: ""
    assert hashlib.sha256(hosting.plain(saved)).hexdigest() == saved.raw_sha256


def test_a_host_that_ends_while_its_segment_travels_is_not_believed(storage: Storage):
    hosting = storage.hosting()
    assert hosting.vault.checksum == "sha256"

    with pytest.raises(StepFailed, match=r"ended early|the dump ended with status"):
        hosting.save(replace(dump(), producer="head -c 300000 /dev/urandom; kill -9 $$"))


def test_how_many_cases_there_are():
    assert len(OVERCOME) + len(GIVEN_UP) + 2 * len(PLACES) == 30
