# The archive is unpacked beside the root and takes its place by renaming; where the host does not let
# us write beside the root, inside it and entry by entry. `fill`, where it is given, is a script that
# fills $new in place of the archive, and is called again to keep what $old names.
root=$(readlink -f "$root" 2>/dev/null || printf '%s' "$root")
was=$root.opsplay-old
old='' # read by `fill`

# Other installations below the site that $1 was are moved into the one that $2 is.
bring_nested() {
    (cd "$1" && find . -mindepth 2 -maxdepth 4 -name wp-settings.php -exec dirname {} \; 2>/dev/null) | while IFS= read -r nested; do
        case $nested in ./.opsplay-*) continue ;; esac
        mkdir -p "$2/${nested%/*}" && rm -rf "${2:?}/$nested" && mv "$1/$nested" "$2/$nested" ||
            fail "the other WordPress at $1/$nested could not be kept"
    done || exit 1
}

let_go_of() {
    if [ -n "$fill" ]; then
        old=$1
        (eval "$fill") || fail "the files as they were could not be kept; they are at $1"
        old=''
    else
        rm -rf "$1"
    fi
}

if [ ! -e "$root" ] && [ -d "$was" ]; then
    mv "$was" "$root" || fail "$was could not be moved back to $root"
fi
mkdir -p "$root" || fail "$root could not be made"
if [ -d "$was" ]; then # an earlier attempt ended after it had changed them
    bring_nested "$was" "$root"
    let_go_of "$was"
fi
if [ "$keep_configuration" = yes ] && [ ! -f "$root/wp-config.php" ] && [ ! -f "${root%/*}/wp-config.php" ]; then
    fail "there is no wp-config.php at $root to keep: give this environment a database and a wp-config.php of its own first; nothing was changed"
fi
new=$root.opsplay-new
rm -rf "$new"
mkdir "$new" 2>/dev/null || new=$root/.opsplay-new
[ ! -d "$root/.opsplay-new" ] || bring_nested "$root/.opsplay-new" "$root"
rm -rf "$new"
mkdir "$new" || fail "there is no place to unpack in, neither beside $root nor in it"
if [ -n "$fill" ]; then
    (eval "$fill") || fail "what was fetched could not be put beside $root; the files below it are as they were"
else
    tar -C "$new" --extract --file=- --preserve-permissions --numeric-owner ||
        fail "the archive could not be unpacked (damaged, or the disk is full); the files below $root are as they were"
fi
[ -f "$new/wp-includes/version.php" ] ||
    fail "the archive holds no WordPress; the files below $root are as they were"

if [ "$keep_configuration" = yes ]; then
    rm -f "$new/wp-config.php"
    if [ -f "$root/wp-config.php" ]; then
        cp -p "$root/wp-config.php" "$new/wp-config.php" || fail "wp-config.php could not be kept; nothing was changed"
    fi
fi
if [ -f "$door" ]; then
    mkdir -p "$new/wp-content/mu-plugins" && cp -p "$door" "$new/wp-content/mu-plugins/" &&
        cp -p "$door" "$new/.maintenance" || fail "the maintenance page could not be kept; nothing was changed"
fi

if [ "$new" = "$root.opsplay-new" ]; then
    mv "$root" "$was" && mv "$new" "$root" || fail "$new could not take the place of $root"
    bring_nested "$was" "$root"
    let_go_of "$was"
else
    bring_nested "$root" "$new"
    if [ -n "$fill" ]; then
        was=$root/.opsplay-new/.opsplay-old
        mkdir "$was" && find "$root" -mindepth 1 -maxdepth 1 ! -name .opsplay-new -exec mv {} "$was/" \; &&
            let_go_of "$was" || fail "the files below $root could not be replaced: they are incomplete now"
    fi
    find "$root" -mindepth 1 -maxdepth 1 ! -name .opsplay-new -exec rm -rf {} + &&
        find "$new" -mindepth 1 -maxdepth 1 -exec mv {} "$root/" \; && rmdir "$new" ||
        fail "the files below $root could not be replaced: they are incomplete now"
fi
[ -f "$root/wp-includes/version.php" ] || fail "there is no WordPress at $root after unpacking"
rm -f "$site_mark".*
