# Real WP-CLI, without plugins (WordPress migrates its database without them too), and nothing is
# believed before it has been read back. A mark says that an update was begun: whatever version.php
# says then, the files may be incomplete.
what=WordPress
begun=$site_mark.core

if [ "$(version_of_files)" != "$version" ] || [ -f "$begun" ]; then
    fetch_package
    if [ -f "$begun" ]; then
        # Ours was killed: its lock holds for 15 minutes. Anybody else's lock is respected.
        wp_bare option delete core_updater.lock </dev/null >/dev/null 2>&1 || :
    fi
    : >"$begun" || fail "$begun could not be written; nothing was changed"
    wp_bare core update "$archive" --version="$version" --force </dev/null
    status=$?
    keep_closed
    [ "$status" = 0 ] || fail "WP-CLI could not update WordPress (status $status); files say $(version_of_files) now"
    found=$(version_of_files)
    [ "$found" = "$version" ] ||
        fail "WP-CLI says that WordPress was updated, but its files say ${found:-nothing}, not $version"
fi
wp_bare core update-db </dev/null || fail "the database could not be brought to WordPress $version"
keep_closed
found=$(config database_version) || exit 1
[ "$found" = "$(wanted_database_version)" ] ||
    fail "the database says schema ${found:-nothing}, WordPress $version wants $(wanted_database_version)"
rm -f "$begun"
printf 'WordPress %s, database schema %s\n' "$version" "$found"
