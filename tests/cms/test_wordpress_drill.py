"""What a drill asks of a real WordPress: how far it is, and a configuration that fits elsewhere."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.cms.installation import Installation

from opsplay.cms.wordpress import WordPress
from opsplay.core.drivers import DatabaseAccess
from opsplay.core.environment import Environment, Host
from opsplay.core.errors import UnreadableAnswer
from opsplay.core.query import Answer
from opsplay.transports.local import LocalTransport

ACCESS = DatabaseAccess(
    "scratch",
    "me",
    "p'w\"d;$x)",
    "localhost:/tmp/s.sock",
    "https://bakery.example",
    "/home/shop/www",
)
_REPLACED = """<?php
/* a comment with define('DB_NAME', 'no'); in it */
define('DB_NAME', 'shop'); define( "DB_USER" , 'sh);op' );
if (!defined('DB_PASSWORD')) define('DB_PASSWORD', "it's;)(" . getenv('NOTHING'));
define(
    'DB_HOST', // where
    implode(':', ['db.example', (string) (3000 + 306)])
);
define('WP_HOME', 'https://bakery.example');
define('WP_SITEURL', "http://bakery.example/wp");
define('WP_CONTENT_DIR', '/home/shop/www/wp-content');
define('WP_ACCESSIBLE_HOSTS', 'pay.example');
define('SECRET', 'kept');
$table_prefix = 'shop_';
require_once __DIR__ . '/wp-settings.php';
"""
_TELL = """
foreach (['DB_NAME', 'DB_USER', 'DB_PASSWORD', 'DB_HOST', 'WP_HOME', 'WP_SITEURL', 'WP_CONTENT_DIR',
    'WP_ACCESSIBLE_HOSTS', 'WP_HTTP_BLOCK_EXTERNAL', 'SECRET'] as $name) $told[$name] = constant($name);
echo json_encode($told + ['prefix' => $table_prefix]);
"""


def environment(root: Path) -> Environment:
    return Environment("drill", Host("local"), str(root), "http://127.0.0.1:5555")


def fitted(root: Path, text: str) -> subprocess.CompletedProcess[str]:
    root.mkdir(exist_ok=True)
    (root / "wp-config.php").write_text(text)
    script = WordPress(environment(root)).use_database(ACCESS)
    return subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("start", ["", "\ufeff", "\n"])
def test_a_configuration_however_it_is_written_leads_to_the_scratch_database(tmp_path, start):
    root = tmp_path / "root"

    done = fitted(root, start + _REPLACED)

    assert (done.returncode, done.stderr) == (0, "")
    (root / "wp-settings.php").write_text(f"<?php {_TELL}")
    said = subprocess.run(
        ["php", "-d", "display_errors=stdout", root / "wp-config.php"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(said.stdout) == {
        "DB_NAME": "scratch",
        "DB_USER": "me",
        "DB_PASSWORD": ACCESS.password,
        "DB_HOST": ACCESS.host,
        "WP_HOME": "http://127.0.0.1:5555",
        "WP_SITEURL": "http://127.0.0.1:5555/wp",
        "WP_CONTENT_DIR": f"{root}/wp-content",
        "WP_ACCESSIBLE_HOSTS": "",
        "WP_HTTP_BLOCK_EXTERNAL": True,
        "SECRET": "kept",
        "prefix": "shop_",
    }


@pytest.mark.parametrize("text", ["", "no php at all", None])
def test_a_backup_without_a_configuration_is_told_plainly(tmp_path, text):
    if text is None:
        script = WordPress(environment(tmp_path)).use_database(ACCESS)
        done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False)
    else:
        done = fitted(tmp_path / "root", text)

    assert done.returncode == 1
    assert "wp-config.php" in done.stderr
    assert "the site cannot start from this backup alone" in done.stderr


def test_half_an_answer_is_no_watermark():
    query = WordPress(environment(Path("/srv"))).watermarks()

    assert query.read(Answer(0, "posts 2\nrows:wp_%20%25x 3\nend\n")) == {
        "posts": "2",
        "rows:wp_ %x": "3",
    }
    with pytest.raises(UnreadableAnswer, match="no whole answer"):
        query.read(Answer(0, "posts 2\n"))
    with pytest.raises(UnreadableAnswer, match="gone away"):
        query.read(Answer(1, "end\n", "opsplay: gone away\n"))


@pytest.mark.real
def test_a_real_site_tells_how_far_it_is_and_stays_as_it_is(bakery: Installation):
    lab = bakery.lab
    before = lab.fingerprint("bakery", "production")
    tables = {name for (name,) in lab.sql("bakery", "production", "SHOW TABLES")}

    marks = asked(bakery)

    assert {name.removeprefix("rows:") for name in marks if name.startswith("rows:")} == tables
    assert marks["rows:wp_posts"] == count(bakery, "wp_posts")
    assert marks["users"] == count(bakery, "wp_users") == "21"
    assert marks["last_post_id"] == lab.sql(
        "bakery", "production",
        "SELECT MAX(ID) FROM wp_posts WHERE post_status = 'publish' AND post_type <> 'nav_menu_item'",
    )[0][0]  # fmt: skip
    assert "orders" not in marks
    assert before.difference(lab.fingerprint("bakery", "production")) == ()


@pytest.mark.real
def test_orders_are_counted_where_woocommerce_keeps_them(bakery: Installation):
    sql = bakery.lab.sql
    sql("bakery", "production", _HPOS)
    try:
        kept_as_posts = asked(bakery)
        sql("bakery", "production", "INSERT INTO wp_options (option_name, option_value) VALUES"
            " ('woocommerce_custom_orders_table_enabled', 'yes')")  # fmt: skip
        kept_apart = asked(bakery)
    finally:
        sql("bakery", "production", "DROP TABLE wp_wc_orders, wp_wc_customer_lookup")

    assert (kept_as_posts["orders"], kept_as_posts["last_order_id"]) == ("1", "9001")
    assert kept_as_posts["last_order_at"] == "2026-11-20T08:00:00Z"
    assert (kept_apart["orders"], kept_apart["last_order_id"]) == ("2", "9102")
    assert kept_apart["last_order_at"] == "2026-11-22T05:12:44Z"
    assert kept_apart["customers"] == "1"


_HPOS = """
INSERT INTO wp_posts (ID, post_type, post_status, post_date_gmt, post_content, post_title,
  post_excerpt, to_ping, pinged, post_content_filtered)
  VALUES (9001, 'shop_order', 'wc-processing', '2026-11-20 08:00:00', '', '', '', '', '', '');
CREATE TABLE wp_wc_orders (id BIGINT PRIMARY KEY, status VARCHAR(20), type VARCHAR(20),
  date_created_gmt DATETIME);
INSERT INTO wp_wc_orders VALUES (9101, 'wc-completed', 'shop_order', '2026-11-21 10:00:00'),
  (9102, 'wc-processing', 'shop_order', '2026-11-22 05:12:44'),
  (9103, 'wc-completed', 'shop_order_refund', '2026-11-22 06:00:00'),
  (9104, 'auto-draft', 'shop_order', '2026-11-22 07:00:00');
CREATE TABLE wp_wc_customer_lookup (customer_id BIGINT PRIMARY KEY);
INSERT INTO wp_wc_customer_lookup VALUES (1);
"""


def asked(site: Installation):
    query = WordPress(site_environment(site)).watermarks()
    return query.read(LocalTransport(Host("local")).run(query.script))


def site_environment(site: Installation) -> Environment:
    one = site.lab.environment(site.site, site.name)
    return Environment(site.name, Host("local"), str(one.root), one.url)


def count(site: Installation, table: str) -> str:
    (row,) = site.lab.sql(site.site, site.name, f"SELECT COUNT(*) FROM {table}")  # noqa: S608 - ours
    return row[0]


@pytest.mark.real
def test_a_drill_environment_is_cleared_away_but_for_its_configuration(staging: Installation):
    here = site_environment(staging)
    root = Path(here.root)
    staging.lab.sql(staging.site, staging.name, "CREATE TABLE wp_posts (a INT)")
    (root / "wp-content").mkdir()
    (root / "wp-content" / "photo.jpg").write_bytes(b"x")
    (root.parent / "htdocs.opsplay-old").mkdir()

    done = LocalTransport(Host("local")).run(WordPress(here).clear_away())

    assert done.ok, done.stderr
    assert [one.name for one in root.iterdir()] == ["wp-config.php"]
    assert not (root.parent / "htdocs.opsplay-old").exists()
    assert staging.lab.sql(staging.site, staging.name, "SHOW TABLES") == ()
    shutil.rmtree(root)
    assert LocalTransport(Host("local")).run(WordPress(here).clear_away()).ok


@pytest.mark.real
def test_production_is_never_cleared_away(bakery: Installation):
    before = bakery.lab.fingerprint("bakery", "production")

    done = LocalTransport(Host("local")).run(WordPress(site_environment(bakery)).clear_away())

    assert not done.ok
    assert "production is never cleared away" in done.stderr
    assert before.difference(bakery.lab.fingerprint("bakery", "production")) == ()
