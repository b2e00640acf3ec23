"""The smoke test's eyes, against a real web server."""

import ssl
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from opsplay.core.action import Page, Visit
from opsplay.core.errors import StepFailed, Unreachable
from opsplay.engine import visit as eyes
from opsplay.engine.pages import Sight
from opsplay.kit.clock import FrozenClock

HOME = (
    b"<html><head><title> My\n Bakery </title><meta name='generator' content='WordPress 6.5.5'>"
    b"</head><body><script>hidden()</script><p>Bread &amp; cake</p></body></html>"
)


class Shop(BaseHTTPRequestHandler):
    seen: ClassVar[list[tuple[str, dict[str, str]]]] = []

    def do_GET(self):
        Shop.seen.append((self.path, dict(self.headers)))
        status, headers, body = {
            "/": (200, {"Set-Cookie": "a=1"}, HOME),
            "/old": (301, {"Location": "/new", "Set-Cookie": "a=1"}, b""),
            "/new": (200, {}, HOME),
            "/away": (302, {"Location": "http://elsewhere.example/"}, b""),
            "/loop": (302, {"Location": "/loop"}, b""),
            "/latin": (
                200,
                {"Content-Type": "text/html; charset=iso-8859-1"},
                "Café".encode("latin-1"),
            ),
            "/broken": (500, {}, b"There has been a critical error on this website."),
        }.get(self.path, (404, {}, b"not here"))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def serving(server):
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def shop():
    for server in serving(ThreadingHTTPServer(("127.0.0.1", 0), Shop)):
        yield f"http://127.0.0.1:{server.server_address[1]}"


def seen_at(shop, *pages, **options):
    return eyes.look(Visit(pages), shop, **options)


def test_a_page_is_seen_as_a_visitor_sees_it(shop):
    (sight,) = seen_at(
        shop, Page("/", contains=("Bread & cake", "Pizza")), fatal_signs=("hidden()",)
    )

    assert (sight.status, sight.title, sight.generator) == (200, "My Bakery", "WordPress 6.5.5")
    assert (sight.bytes, sight.text_length) == (len(HOME), len("Bread & cake"))
    assert (sight.missing, sight.found) == (("Pizza",), ("hidden()",))
    assert len(sight.sha256) == 64
    assert Sight.from_data(sight.to_data()) == sight


def test_a_visit_says_who_it_is_and_carries_no_cookies(shop):
    Shop.seen.clear()

    seen_at(shop, Page("/"), Page("/old"), headers={"X-Opsplay-Pass": "sesame"})

    assert [path for path, _ in Shop.seen] == ["/", "/old", "/new"]
    for _, headers in Shop.seen:
        assert "Cookie" not in headers
        assert headers["User-Agent"].startswith("opsplay/")
        assert headers["Cache-Control"] == "no-cache"
        assert headers["X-Opsplay-Pass"] == "sesame"


def test_redirects_are_followed_on_the_same_host_only(shop):
    old, away, loop = seen_at(shop, Page("/old"), Page("/away"), Page("/loop"))

    assert (old.status, old.url) == (200, f"{shop}/new")
    assert (away.status, away.location) == (302, "http://elsewhere.example/")
    assert loop.status == 302


def test_a_redirect_that_is_asked_for_is_not_followed(shop):
    page = Page("/old", redirects_to="/new")
    sights = seen_at(shop, page)

    assert sights[0].status == 301
    assert eyes.judge(Visit((page,)), sights) == ()
    wrong = Page("/old", redirects_to="/other")
    assert eyes.judge(Visit((wrong,)), sights) == ("/old leads to /new instead of /other",)
    gone = Page("/", redirects_to="/other")
    assert eyes.judge(Visit((gone,)), seen_at(shop, gone)) == (
        "/ answers 200 instead of leading to /other",
    )


def test_a_page_in_another_encoding_is_read(shop):
    (sight,) = seen_at(shop, Page("/latin", contains=("Café",)))

    assert sight.missing == ()


def test_a_server_that_does_not_answer_is_a_complaint_not_a_crash():
    visit = Visit((Page("/", contains=("Bread",)),))

    sights = eyes.look(visit, "http://127.0.0.1:9")

    (complaint,) = eyes.judge(visit, sights)
    assert complaint.startswith("/ does not answer: ")


def test_a_given_client_is_used_and_left_open(shop):
    with httpx.Client() as client:
        eyes.look(Visit((Page("/"),)), shop, client=client)

        assert not client.is_closed


def test_a_broken_page_is_named_in_words(shop):
    visit = Visit((Page("/broken"), Page("/missing")))
    signs = ("There has been a critical error",)

    complaints = eyes.judge(visit, eyes.look(visit, shop, fatal_signs=signs), (), signs)

    assert complaints == (
        "/broken answers 500 instead of 200",
        "/broken shows the text 'There has been a critical error'",
        "/missing answers 404 instead of 200",
    )


def sight(**fields):
    usual = {"status": 200, "title": "Bakery", "bytes": 48_000, "text_length": 9000, "seconds": 0.4}
    return Sight("/", "http://x/", **(usual | fields))


@pytest.mark.parametrize(
    ("now", "complaints"),
    [
        ({}, ()),
        ({"title": "Another title", "bytes": 30_000, "text_length": 5000}, ()),
        ({"title": ""}, ("/ no longer has a title (was 'Bakery')",)),
        ({"bytes": 2000, "text_length": 100}, ("/ shrank from 48 kB to 2 kB",)),
        ({"bytes": 200, "text_length": 100}, ("/ shrank from 48 kB to 200 bytes",)),
        ({"text_length": 900}, ("/ lost most of its text (9000 characters, now 900)",)),
        ({"seconds": 12.1}, ("/ answers in 12.1 s, allowed 10 s; it was 0.4 s before",)),
        ({"missing": ("Bread",)}, ("/ does not show the text 'Bread'",)),
        ({"found": ("Out of stock",)}, ("/ shows the text 'Out of stock'",)),
        ({"found": ("a sign of another visit",)}, ()),
        (
            {"status": 302, "location": "/install", "bytes": 0, "title": ""},
            ("/ answers 302 instead of 200 (it leads to /install)",),
        ),
    ],
)
def test_a_page_is_compared_with_how_it_looked_before(now, complaints):
    visit = Visit((Page("/", absent=("Out of stock",)),))

    assert eyes.judge(visit, (sight(**now),), (sight(),)) == complaints


def test_what_the_playbook_asks_counts_also_when_it_was_wrong_before():
    visit = Visit((Page("/"),))

    complaints = eyes.judge(visit, (sight(status=404),), (sight(status=404),))

    assert complaints == ("/ answers 404 instead of 200 (as it did before)",)


def test_a_page_nobody_looked_at_is_a_complaint():
    assert eyes.judge(Visit((Page("/"),)), ()) == ("/ was not looked at",)


def test_the_error_log_tells_each_fatal_once():
    tail = """\
[22-Nov-2026 05:00:00 UTC] PHP Warning:  Undefined variable $x in /a.php on line 1
[22-Nov-2026 05:00:01 UTC] PHP Fatal error:  Uncaught Error: boom in /a.php:3
Stack trace:
#0 {main}
[22-Nov-2026 05:00:02 UTC] PHP Fatal error:  Uncaught Error: boom in /a.php:3
[22-Nov-2026 05:00:03 UTC] PHP Parse error:  syntax error, unexpected '}' in /b.php on line 9
"""

    assert eyes.new_errors(tail) == (
        "PHP Fatal error:  Uncaught Error: boom in /a.php:3",
        "PHP Parse error:  syntax error, unexpected '}' in /b.php on line 9",
    )
    assert eyes.count_warnings(tail) == 1
    assert eyes.new_errors("") == ()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-keyout", "key.pem", "-out", "crt.pem", "-days", "30", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def tls_server(certificate):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.handle_error = lambda *_: None  # refused handshakes are the tests' own doing
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "crt.pem", certificate / "key.pem")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    for one in serving(server):
        yield f"https://localhost:{one.server_address[1]}"


@pytest.fixture(scope="module")
def tls_shop(certificate):
    yield from tls_server(certificate)


def trusting(certificate):
    return ssl.create_default_context(cafile=str(certificate / "crt.pem"))


def test_the_days_a_certificate_still_has_are_read_from_the_server(tls_shop, certificate):
    trust = trusting(certificate)
    later = FrozenClock(datetime.now(UTC) + timedelta(days=20))

    assert 29.9 < eyes.certificate_days(tls_shop, trust=trust) <= 30
    days = eyes.certificate_days(tls_shop, trust=trust, clock=later)
    assert eyes.judge_certificate(Visit(()), days) == (
        "the certificate ends in 10 days, 14 asked for",
    )
    assert eyes.judge_certificate(Visit(()), 0) != ()
    assert eyes.judge_certificate(Visit(()), 15) == ()


def test_a_certificate_nobody_vouches_for_is_refused(tls_shop):
    with pytest.raises(StepFailed, match="certificate of localhost"):
        eyes.certificate_days(tls_shop)
    (sight,) = eyes.look(Visit((Page("/"),)), tls_shop)
    assert "certificate" in sight.error.lower()


def make_expired_certificate(folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(
        issuer_name=name,
        subject_name=name,
        public_key=key.public_key(),
        serial_number=1,
        not_valid_before=now - timedelta(days=9),
        not_valid_after=now - timedelta(days=1),
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    signed = made.add_extension(names, critical=False).sign(key, hashes.SHA256())
    (folder / "crt.pem").write_bytes(signed.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


def test_an_expired_certificate_has_no_days_left(tmp_path):
    make_expired_certificate(tmp_path)

    for url in tls_server(tmp_path):
        assert eyes.certificate_days(url, trust=trusting(tmp_path)) == 0


def test_a_missing_tls_server_is_unreachable():
    with pytest.raises(Unreachable, match="does not answer"):
        eyes.certificate_days("https://127.0.0.1:9")
