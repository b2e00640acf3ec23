# `plugin update` as the back office would do it; after a kill, `install --force`, which replaces
# whatever is there. The version is read from the file's header: WordPress need not start for it, so a
# module that breaks the site is found by the smoke test and not mistaken for a failed update.
begun=$site_mark.$kind-$name
key=module:$name
[ "$kind" = plugin ] || key=module:$kind:$name

module_version() {
    if [ "$kind" = theme ]; then
        set -- "$content/themes/$name/style.css"
    elif [ -d "$content/plugins/$name" ]; then
        set -- "$content/plugins/$name"/*.php
    else
        set -- "$content/plugins/$name.php"
    fi
    header='Plugin Name'
    [ "$kind" = plugin ] || header='Theme Name'
    for file in "$@"; do
        if grep -q "^[[:space:]/*#@]*$header:" "$file" 2>/dev/null; then
            sed -n 's/^[[:space:]\/*#@]*Version:[[:space:]]*\([^[:space:]]*\).*/\1/p' "$file" | head -n 1
            return
        fi
    done
}

# A plugin that stops WP-CLI must not stop the update that mends it.
with_plugins_or_without() {
    if wp "$kind" is-installed "$name" </dev/null >/dev/null 2>&1; then
        wp "$@" </dev/null
    else
        wp --skip-plugins --skip-themes "$@" </dev/null
    fi
}

if [ "$(module_version)" != "$version" ] || [ -f "$begun" ]; then
    [ -n "$(module_version)" ] || [ -f "$begun" ] || fail "$what is not installed; nothing was changed"
    fetch_package
    OPSPLAY_KIND=$kind OPSPLAY_NAME=$name OPSPLAY_VERSION=$version OPSPLAY_PACKAGE=$archive
    export OPSPLAY_KIND OPSPLAY_NAME OPSPLAY_VERSION OPSPLAY_PACKAGE
    if [ -f "$begun" ]; then
        mark_begun
        with_plugins_or_without "$kind" install "$archive" --force
    else
        mark_begun
        with_plugins_or_without --exec="$offer_php" "$kind" update "$name"
    fi
    status=$?
    keep_closed
    found=$(module_version)
    [ "$status" = 0 ] || fail "WP-CLI could not update $what (status $status); its files say ${found:-nothing} now"
    [ "$found" = "$version" ] ||
        fail "WP-CLI says that $what was updated, but its files say ${found:-nothing}, not $version"
    rm -f "$begun"
fi
keep_closed
tell_package
printf '%s %s\n' "$what" "$(module_version)"
