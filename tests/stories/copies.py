"""What is true of every copy of production: whole, silent, and its own master."""

from __future__ import annotations

import json
import urllib.request

from tests.stories.conftest import Ops
from tests.stories.during import on_host

MAIL = 'var_export(wp_mail("owner@bakery.example", "Your order", "Thank you"));'


def wp(ops: Ops, site: str, environment: str, words: str) -> str:
    place = ops.lab.environment(site, environment)
    return on_host(ops, place.host, f"wp --path='{place.root}' {words}")


def settings(ops: Ops, site: str, environment: str) -> object:
    said = wp(ops, site, environment, "option get lab_shop_settings --format=json")
    address = ops.lab.environment(site, environment).url
    return json.loads(
        said.replace(address.replace("/", "\\/"), "(here)").replace(address, "(here)")
    )


def holding(ops: Ops, site: str, environment: str, text: str) -> list[str]:
    """Return the tables of which a row holds the text, the one column `guid` left out."""
    found = []
    for (table,) in ops.lab.sql(site, environment, "SHOW TABLES"):
        columns = [row[0] for row in ops.lab.sql(site, environment, f"SHOW COLUMNS FROM {table}")]
        names = ", ".join(f"`{name}`" for name in columns if name != "guid")
        asked = f"SELECT COUNT(*) FROM {table} WHERE INSTR(CONCAT_WS(' ', {names}), '{text}') > 0"  # noqa: S608
        if ops.lab.sql(site, environment, asked) != (("0",),):
            found.append(table)
    return found


def headers(url: str) -> dict[str, str]:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the lab's own pages
        return {name.lower(): value for name, value in answer.headers.items()}


def look_at(ops: Ops, site: str, configuration: str) -> None:
    """Assert that staging is a safe copy, with the `wp-config.php` that it had before."""
    production, staging = (ops.lab.environment(site, one) for one in ("production", "staging"))
    assert settings(ops, site, "staging") == settings(ops, site, "production")
    broken = "SELECT COUNT(*) FROM wp_options WHERE option_value REGEXP '^[aO]:[0-9]+:'"
    assert ops.lab.sql(site, "staging", broken) == ops.lab.sql(site, "production", broken)
    for form in (production.url, production.url.replace("/", "\\\\/"), f":{production.port}"):
        assert holding(ops, site, "staging", form) == []
    assert (
        (staging.root / "wp-config.php")
        .read_text()
        .startswith(configuration.split("\n\n", maxsplit=1)[0])
    )
    assert f"'{staging.database}'" in (staging.root / "wp-config.php").read_text()

    seen = headers(f"{staging.url}/product-7/")
    status, page = ops.lab.page(f"{staging.url}/product-7/")
    assert (status, production.url in page) == (200, False)
    assert "noindex" in seen["x-robots-tag"]
    assert "x-robots-tag" not in headers(f"{production.url}/product-7/")
    assert "Disallow: /\n" in ops.lab.page(f"{staging.url}/robots.txt")[1]

    assert wp(ops, site, "staging", f"eval '{MAIL}'").strip() == "false"
    assert wp(ops, site, "production", f"eval '{MAIL}'").strip() == "true"
    assert list(staging.mail.iterdir()) == []
    assert len(list(production.mail.iterdir())) == 1
    only_here = lab_files(ops, site, "staging") - lab_files(ops, site, "production")
    assert only_here == {"wp-content/mu-plugins/opsplay-staging.php"}


def lab_files(ops: Ops, site: str, environment: str) -> set[str]:
    return set(ops.lab.fingerprint(site, environment).files)
