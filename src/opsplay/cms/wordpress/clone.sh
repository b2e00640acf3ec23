# First of all nobody can be mailed; then every address is rewritten; then both are looked at again.
write_staging_plugin() {
    mkdir -p "$content/mu-plugins" && printf '%s' "$staging_php" >"$content/mu-plugins/opsplay-staging.php" &&
        printf '%s' "$staging_php" | cmp -s - "$content/mu-plugins/opsplay-staging.php" ||
        fail "the clone at $root is NOT safe: opsplay-staging.php could not be written; it may send mail"
    if [ -f "$root/robots.txt" ]; then
        printf 'User-agent: *\nDisallow: /\n' >"$root/robots.txt" || fail "robots.txt of the clone could not be written"
    fi
}

# Where wp-config.php cannot be written, the must-use plugin alone has to do.
try_mark_configuration() {
    if [ -w "$root/wp-config.php" ]; then
        set -- --type=constant --anchor='$table_prefix =' --placement=before
        wp_bare config set WP_ENVIRONMENT_TYPE staging "$@" </dev/null >/dev/null 2>&1 || :
        wp_bare config set DISABLE_WP_CRON true --raw "$@" </dev/null >/dev/null 2>&1 || :
    fi
}

# One text into another, in every table of the site, serialized values included.
replace_text() {
    OPSPLAY_OLD=$1
    OPSPLAY_NEW=$2
    export OPSPLAY_OLD OPSPLAY_NEW
    (
        IFS='
'
        set -f
        # shellcheck disable=SC2046 # one table a line
        wp_bare search-replace "$1" "$2" $(config tables) --all-tables --skip-columns=guid --precise \
            --recurse-objects --report-changed-only </dev/null
    ) || fail "the addresses of the clone could not be rewritten: it may still point to $source_url"
    config unkeyed || exit 1
}

escaped() {
    printf '%s' "$1" | sed 's,/,\\/,g'
}

encoded() {
    printf '%s' "$1" | sed 's,:,%3A,g; s,/,%2F,g'
}

# Without scheme both http and https are found, and addresses that begin with `//`.
without_scheme() {
    printf '%s' "${1#*:}"
}

# How an address may be written; the order matters, long forms go first.
forms() {
    for scheme in https: http:; do
        printf '%s\n' "$scheme$1"
        escaped "$scheme$1" && echo
        encoded "$scheme$1" && echo
    done
    printf '%s\n' "$1"
    escaped "$1" && echo
}

# Where any of these texts still stand.
holding() {
    OPSPLAY_OLD=$1
    export OPSPLAY_OLD
    config leftovers
}

# `number` tells which form it is, so that the new address is written in the same one.
rewrite() {
    number=0
    old_forms=$(forms "$(without_scheme "$1")")
    new_forms=$(printf '%s\n' "$2" && escaped "$2" && echo && encoded "$2" && echo &&
        printf '%s\n' "$2" && escaped "$2" && echo && encoded "$2" && echo &&
        printf '%s\n' "$(without_scheme "$2")" && escaped "$(without_scheme "$2")")
    found=$(holding "$old_forms" && echo .) || exit 1 # the dot keeps the last line's end
    while [ "$number" -lt 8 ]; do
        number=$((number + 1))
        old=$(printf '%s\n' "$old_forms" | sed -n "${number}p")
        case $found in
        *" rows with $old
"*)
            # The short forms are parts of the long ones: they may be gone by now.
            if [ "$number" -lt 7 ] || [ -n "$(holding "$old")" ]; then
                replace_text "$old" "$(printf '%s\n' "$new_forms" | sed -n "${number}p")"
            fi
            ;;
        esac
    done
    left=$(holding "$(without_scheme "$1")") || exit 1
    [ -z "$left" ] || fail "the clone still holds the address $1:
$left"
}

# Where the new address begins with the old one (example.com, example.com/staging) the old one would be
# found in it again; a word that stands in neither keeps them apart.
rewrite_all() {
    for old_url in "$source_url" "$(config home)" "$(config siteurl)"; do
        if [ -z "$old_url" ] || [ "$(without_scheme "$old_url")" = "$(without_scheme "$url")" ]; then
            continue
        fi
        case $(without_scheme "$url") in
        "$(without_scheme "$old_url")"*)
            rewrite "$url" https://opsplay.invalid/new-address
            rewrite "$old_url" https://opsplay.invalid/new-address
            rewrite https://opsplay.invalid/new-address "$url"
            ;;
        *) rewrite "$old_url" "$url" ;;
        esac
    done
    [ "$(config home)" = "$url" ] || wp_bare option update home "$url" </dev/null || fail "the clone's address could not be set"
}

mail_is_dead() {
    answer=$(printf '%s' '<?php fwrite(STDOUT, "@@mail " . var_export(wp_mail("nobody@example.invalid", "opsplay", "opsplay"), true) . "@@");' |
        wp --skip-plugins --skip-themes eval-file - 2>&1)
    case $answer in
    *'@@mail false@@'*) ;;
    *) fail "the clone at $root may send mail: asked, it answered $(printf '%s' "$answer" | head -n 1)" ;;
    esac
}

tell_clone_marks() {
    if printf '%s' "$staging_php" | cmp -s - "$content/mu-plugins/opsplay-staging.php" && [ "$(config search_engines)" = 0 ]; then
        echo safe
    else
        echo unsafe
    fi
}
