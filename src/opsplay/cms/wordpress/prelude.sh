# Every script begins with this: words for failing, PHP for the command line, WP-CLI.
LC_ALL=C
export LC_ALL
# What is written below the root must be readable by the web server, which may be another user.
umask 022
opsplay_home=${HOME:-.}/.opsplay
content=$root/wp-content

fail() {
    printf 'opsplay: %s\n' "$*" >&2
    exit 1
}

is_command_line_php() {
    "$1" -r 'exit(PHP_SAPI === "cli" && extension_loaded("mysqli") ? 0 : 1);' >/dev/null 2>&1 </dev/null
}

# Shared hosts often have a `php` that is the cgi one, or one without mysqli, and better ones beside it.
find_php() {
    for php in php php8.4 php8.3 php8.2 php8.1 php8.0 php7.4 /usr/local/bin/php \
        /opt/cpanel/ea-php8*/root/usr/bin/php /opt/alt/php8*/usr/bin/php /usr/local/php8*/bin/php; do
        if is_command_line_php "$php"; then
            return 0
        fi
    done
    fail "no PHP for the command line (cli SAPI, with mysqli) was found on this host"
}

# Our own copy comes first: its version is known, a `wp` on PATH may be anything.
find_wp_cli() {
    for wp_cli in "$opsplay_home/wp-cli.phar" "${WP_CLI_PHAR:-}" "${HOME:-.}/bin/wp" \
        "$(command -v wp 2>/dev/null)" /usr/local/bin/wp; do
        if [ -n "$wp_cli" ] && [ -f "$wp_cli" ]; then
            return 0
        fi
    done
    fail "WP-CLI was not found on this host (looked at ~/.opsplay/wp-cli.phar, ~/bin/wp, PATH)"
}

quiet_php() {
    "$php" -d memory_limit=512M -d display_errors=stderr -d log_errors=0 -d opcache.enable_cli=0 "$@"
}

# WP-CLI is a PHP archive, or (packaged by a host) a shell script around one.
wp() {
    WP_CLI_DISABLE_AUTO_CHECK_UPDATE=1
    WP_CLI_PHP=$php
    WP_CLI_PHP_ARGS="-d memory_limit=512M -d display_errors=stderr -d opcache.enable_cli=0"
    export WP_CLI_DISABLE_AUTO_CHECK_UPDATE WP_CLI_PHP WP_CLI_PHP_ARGS
    if [ "$(id -u)" = 0 ]; then
        set -- --allow-root "$@"
    fi
    set -- --path="$root" --url="$url" --no-color --skip-packages "$@"
    case $(head -n 1 "$wp_cli" | tr -d '\0') in
    '#!'*php* | '<?php'*) quiet_php "$wp_cli" "$@" ;;
    *) "$wp_cli" "$@" ;;
    esac
}

# No plugin, theme, must-use plugin or object cache gets a word: what is left is WordPress itself.
wp_bare() {
    wp --skip-plugins --skip-themes --exec='define("WPMU_PLUGIN_DIR", "/nonexistent");
        WP_CLI::add_wp_hook("enable_loading_object_cache_dropin", "__return_false");' "$@"
}

# WordPress's own files say which version they are; nothing is executed to read it.
version_of_files() {
    sed -n "s/^\(.*[;[:space:]]\)\{0,1\}\$wp_version[[:space:]]*=[[:space:]]*['\"]\([^'\"]*\)['\"].*/\2/p" \
        "$root/wp-includes/version.php" 2>/dev/null | head -n 1
}

wanted_database_version() {
    sed -n "s/^\(.*[;[:space:]]\)\{0,1\}\$wp_db_version[[:space:]]*=[[:space:]]*\([0-9]*\).*/\2/p" \
        "$root/wp-includes/version.php" 2>/dev/null | head -n 1
}

# Files below the root that are no code: they are never saved, compared or removed with the code.
volatile='./.maintenance
./.opsplay-new
./wp-content/mu-plugins/opsplay-closed.php
./wp-content/cache
./wp-content/et-cache
./wp-content/litespeed
./wp-content/upgrade
./wp-content/upgrade-temp-backup
./wp-content/wflogs
./wp-content/debug.log
./error_log'

# A second WordPress below the root (a staging copy, say) is somebody else's.
nested_installations() {
    (cd "$root" && find . -mindepth 2 -maxdepth 4 -name wp-settings.php -exec dirname {} \; 2>/dev/null)
}

door=$content/mu-plugins/opsplay-closed.php

# WordPress deletes .maintenance after each update of its own; while the door is closed, put it back.
keep_closed() {
    if [ -f "$door" ]; then
        cp "$door" "$root/.maintenance.opsplay" && mv -f "$root/.maintenance.opsplay" "$root/.maintenance" ||
            fail "the maintenance page could not be put back at $root/.maintenance"
    fi
}

compress() {
    if command -v zstd >/dev/null 2>&1; then
        zstd -q -1 -T0 -c
    else
        gzip -1 -c
    fi
}

decompress() {
    case $(head -c 2 "$1" | od -An -tx1 | tr -d ' ') in
    1f8b) gzip -dc "$1" ;;
    *) zstd -q -dc "$1" ;;
    esac
}
