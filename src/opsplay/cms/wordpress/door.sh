# The door: see door.php. Written under another name first, so that nobody reads half a file.
write_door() {
    mkdir -p "$content/mu-plugins" && printf '%s' "$door_php" >"$root/.maintenance.opsplay" &&
        cp "$root/.maintenance.opsplay" "$content/mu-plugins/.opsplay-closed" &&
        mv -f "$content/mu-plugins/.opsplay-closed" "$door" &&
        mv -f "$root/.maintenance.opsplay" "$root/.maintenance" ||
        fail "visitors could not be kept out: $root/.maintenance or $door cannot be written"
    printf '%s' "$door_php" | cmp -s - "$root/.maintenance" && cmp -s "$root/.maintenance" "$door" ||
        fail "visitors are not kept out: $root/.maintenance does not hold what was written"
}

remove_door() {
    rm -f "$root/.maintenance" "$root/.maintenance.opsplay" "$door" "$content/mu-plugins/.opsplay-closed"
    if [ -e "$root/.maintenance" ] || [ -e "$door" ]; then
        fail "visitors are still kept out: $root/.maintenance or $door cannot be removed"
    fi
}

# Core's own .maintenance counts for ten minutes, ours always.
tell_door() {
    if [ -f "$door" ]; then
        echo closed
    elif [ -f "$root/.maintenance" ] && [ -n "$(find "$root/.maintenance" -mmin -10 2>/dev/null)" ]; then
        echo closed
    else
        echo open
    fi
}
