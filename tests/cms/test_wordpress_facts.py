"""Facts of a real WordPress: always had, always true, and asked without leaving a trace."""

import pytest
from tests.cms.installation import Installation, tree

from opsplay.core.errors import UnreadableAnswer

pytestmark = pytest.mark.real


def everything(site: Installation):
    return site.fingerprint(), tree(site.home)


def changed(before, site: Installation) -> set[str]:
    fingerprint, paths = before
    return {*fingerprint.difference(site.fingerprint()), *(paths ^ tree(site.home))}


def test_versions_modules_and_offers_are_read_in_one_go(bakery: Installation):
    seen = bakery.ask(bakery.cms.facts())

    assert (seen.version, seen.database_version) == ("6.4.5", "56657")
    assert seen.wanted_database_version == "56657"
    assert [(one.version, one.size) for one in seen.offers] == [("6.5.5", "major")]
    assert seen.source_error == seen.boot_error == ""
    shop = next(module for module in seen.modules if module.name == "lab-shop")
    assert (shop.version, shop.active, shop.offer.version) == ("1.0.0", True, "1.1.0")
    assert shop.offer.package == bakery.package("lab-shop-1.1.0")
    themes = [module for module in seen.modules if module.name.startswith("theme:")]
    assert [(theme.name, theme.active) for theme in themes] == [("theme:twentytwentyfour", True)]


def test_asking_twice_leaves_files_and_database_as_they_were(bakery: Installation):
    before = everything(bakery)

    bakery.ask(bakery.cms.facts())
    bakery.ask(bakery.cms.facts())

    assert changed(before, bakery) == set()


def test_a_plugin_that_writes_at_every_start_writes_nothing(bakery: Installation):
    bakery.sql("CREATE TABLE wp_old_engine (hits int) ENGINE=MyISAM")
    plugin = bakery.root / "wp-content/mu-plugins/busy.php"
    plugin.write_text(
        "<?php global $wpdb; echo 'Welcome!';\n"
        "update_option('busy', uniqid()); set_transient('busy', uniqid());\n"
        "$wpdb->query('INSERT INTO wp_old_engine VALUES (1)');\n"
        "$wpdb->query('CREATE TABLE wp_busy (a int)');\n"
        "add_action('shutdown', function () { file_put_contents(__FILE__ . '.log', 'x'); });\n"
        "mysqli_report(MYSQLI_REPORT_OFF); $link = $wpdb->dbh;\n"
        "mysqli_query($link, 'INSERT INTO wp_old_engine VALUES (2)');\n"
    )
    before = everything(bakery)

    seen = bakery.ask(bakery.cms.facts())

    assert seen.version == "6.4.5"
    assert seen.boot_error == ""
    assert changed(before, bakery) == set()


def test_an_unreachable_update_server_never_looks_like_up_to_date(bakery: Installation):
    bakery.lab.stop_source()

    seen = bakery.ask(bakery.cms.facts())

    assert "updates of WordPress" in seen.source_error
    assert seen.version == "6.4.5"


def test_an_update_server_that_answers_nonsense_is_an_error(bakery: Installation):
    answer = "['response' => ['code' => 200, 'message' => 'OK'], 'body' => 'Welcome to the hotel']"
    plugin = bakery.root / "wp-content/mu-plugins/a-portal.php"
    plugin.write_text(f"<?php add_filter('pre_http_request', fn () => {answer}, 99);")

    seen = bakery.ask(bakery.cms.facts())

    assert seen.source_error == "updates of WordPress: an answer that is no JSON"


def test_a_plugin_that_switches_updates_off_is_named(bakery: Installation):
    plugin = bakery.root / "wp-content/mu-plugins/no-updates.php"
    plugin.write_text(
        "<?php add_filter('pre_site_transient_update_core', fn () => (object) "
        "['last_checked' => time(), 'version_checked' => '6.4.5', 'updates' => []]);\n"
        "add_filter('pre_http_request', fn ($a, $b, $url) => str_contains($url, 'core/version')"
        " ? new WP_Error('off', 'switched off') : $a, 99, 3);"
    )

    assert "switched off" in bakery.ask(bakery.cms.facts()).source_error


def test_facts_are_had_when_a_plugin_kills_wp_cli(bakery: Installation):
    shop = bakery.root / "wp-content/plugins/lab-shop/lab-shop.php"
    shop.write_text(f"{shop.read_text()}\nno_such_function_here();\n")

    seen = bakery.ask(bakery.cms.facts())

    assert "no_such_function_here" in seen.boot_error
    assert seen.source_error == ""
    assert [offer.version for offer in seen.offers] == ["6.5.5"]
    assert {module.name for module in seen.modules} >= {"akismet", "lab-shop"}


def test_versions_that_need_a_newer_php_are_no_offers_but_are_told(bakery: Installation):
    (bakery.root / "wp-content/mu-plugins/needs.php").write_text(
        "<?php foreach (['core' => 'php_version', 'plugins' => 'requires_php'] as $what => $field)"
        'add_filter("pre_set_site_transient_update_$what", function ($all) use ($field) {'
        "foreach ($all->updates ?? $all->response ?? [] as $one) $one->$field = '99.1'; return $all; });"
    )

    seen = bakery.ask(bakery.cms.facts())

    assert seen.source_error == ""
    assert seen.offers == ()
    assert "WordPress 6.5.5 needs PHP 99.1" in seen.withheld
    assert any(one.startswith("lab-shop/lab-shop.php ") for one in seen.withheld)


def test_facts_are_had_when_core_itself_is_broken(bakery: Installation):
    whole = bakery.ask(bakery.cms.facts())
    (bakery.root / "wp-includes/plugin.php").write_text("<?php broken(")

    seen = bakery.ask(bakery.cms.facts())

    assert seen.boot_error
    assert seen.source_error == "WordPress does not start, so nothing could be asked"
    assert (seen.version, seen.database_version) == ("6.4.5", "56657")
    known = [(module.name, module.version, module.active) for module in seen.modules]
    assert known == [(module.name, module.version, module.active) for module in whole.modules]


def test_a_root_without_wordpress_says_so(bakery: Installation):
    (bakery.root / "wp-includes/version.php").unlink()

    with pytest.raises(UnreadableAnswer, match=f"there is no WordPress at {bakery.root}"):
        bakery.ask(bakery.cms.facts())


def test_the_error_log_is_found_where_hosts_keep_it(bakery: Installation):
    assert bakery.ask(bakery.cms.error_log()).path == ""

    (bakery.root / "error_log").write_text("one\n")
    assert bakery.ask(bakery.cms.error_log()).bytes == 4

    named = Installation(
        bakery.lab, "bakery", "production", error_log=str(bakery.root / "no-such.log")
    )
    assert named.ask(named.cms.error_log()).path.endswith("no-such.log")
