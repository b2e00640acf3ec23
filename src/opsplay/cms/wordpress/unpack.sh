# The archive is unpacked beside the root and takes its place by renaming; where the host does not let
# us write beside the root, inside it and entry by entry.
root=$(readlink -f "$root" 2>/dev/null || printf '%s' "$root")
if [ ! -e "$root" ] && [ -d "$root.opsplay-old" ]; then
    mv "$root.opsplay-old" "$root" || fail "$root.opsplay-old could not be moved back to $root"
fi
mkdir -p "$root" || fail "$root could not be made"
if [ "$keep_configuration" = yes ] && [ ! -f "$root/wp-config.php" ] && [ ! -f "${root%/*}/wp-config.php" ]; then
    fail "there is no wp-config.php at $root to keep: give this environment a database and a wp-config.php of its own first; nothing was changed"
fi
new=$root.opsplay-new
rm -rf "$new"
mkdir "$new" 2>/dev/null || new=$root/.opsplay-new
rm -rf "$new"
mkdir "$new" || fail "there is no place to unpack in, neither beside $root nor in it"
tar -C "$new" --extract --file=- --preserve-permissions --numeric-owner ||
    fail "the archive could not be unpacked (damaged, or the disk is full); the files below $root are as they were"
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
nested_installations | while IFS= read -r nested; do
    mkdir -p "$new/${nested%/*}" && rm -rf "${new:?}/$nested" && mv "$root/$nested" "$new/$nested" ||
        fail "the other WordPress at $root/$nested could not be kept"
done || exit 1

if [ "$new" = "$root.opsplay-new" ]; then
    rm -rf "$root.opsplay-old"
    mv "$root" "$root.opsplay-old" && mv "$new" "$root" || fail "$new could not take the place of $root"
    rm -rf "$root.opsplay-old"
else
    find "$root" -mindepth 1 -maxdepth 1 ! -name .opsplay-new -exec rm -rf {} + &&
        find "$new" -mindepth 1 -maxdepth 1 -exec mv {} "$root/" \; && rmdir "$new" ||
        fail "the files below $root could not be replaced: they are incomplete now"
fi
[ -f "$root/wp-includes/version.php" ] || fail "there is no WordPress at $root after unpacking"
rm -f "$site_mark".*
