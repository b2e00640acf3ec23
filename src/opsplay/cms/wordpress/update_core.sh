# Real WP-CLI, without plugins (WordPress migrates its database without them too), and nothing is
# believed before it has been read back. Without a package only the database is migrated.
what=WordPress
key=core
begun=$site_mark.core

# Half-copied core files may keep WP-CLI itself from starting: then the package's are laid over them.
lay_package() {
    unpacked=$opsplay_home/packages/unpacked.$$
    mkdir "$unpacked" && quiet_php -r '$zip = new ZipArchive(); exit($zip->open($argv[1]) === true && $zip->extractTo($argv[2]) ? 0 : 1);' \
        "$archive" "$unpacked" </dev/null 2>/dev/null || unzip -qo "$archive" -d "$unpacked" || fail "$archive could not be unpacked"
    rm -rf "$unpacked/wordpress/wp-content"
    cp -R "$unpacked/wordpress/." "$root/" || fail "core files could not be written below $root (is the disk full?)"
    rm -rf "$unpacked"
}

# A killed update of ours leaves its lock, which holds for 15 minutes. Anybody else's is respected,
# and leaves no mark of ours that would make it look like one.
refuse_foreign_lock() {
    locked=$(config core_lock) || exit 1
    [ "${locked:-0}" -le $(($(date +%s) - 900)) ] ||
        fail "Another update is currently in progress on this site; nothing was changed"
}

if [ "$(version_of_files)" != "$version" ] || { [ -f "$begun" ] && [ -n "$package" ]; }; then
    fetch_package
    if [ -f "$begun" ]; then
        wp_bare core is-installed </dev/null >/dev/null 2>&1 || lay_package
        wp_bare option delete core_updater.lock </dev/null >/dev/null 2>&1 || :
    else
        refuse_foreign_lock
    fi
    mark_begun
    wp_bare core update "$archive" --version="$version" --force </dev/null
    status=$?
    keep_closed
    [ "$status" = 0 ] || fail "WP-CLI could not update WordPress (status $status); files say $(version_of_files) now"
    found=$(version_of_files)
    [ "$found" = "$version" ] ||
        fail "WP-CLI says that WordPress was updated, but its files say ${found:-nothing}, not $version"
fi
network=
if grep -qs MULTISITE "$root/wp-config.php" && wp_bare core is-installed --network </dev/null >/dev/null 2>&1; then
    network=--network
fi
# shellcheck disable=SC2086 # nothing, or one word
wp_bare core update-db $network </dev/null || fail "the database could not be brought to WordPress $version"
keep_closed
found=$(config database_version) || exit 1
[ "$found" = "$(wanted_database_version)" ] ||
    fail "the database says schema ${found:-nothing}, WordPress $version wants $(wanted_database_version)"
[ -z "$archive" ] || rm -f "$begun"
tell_package
printf 'WordPress %s, database schema %s\n' "$version" "$found"
