# A restore point is code and database of one moment, with sums; `complete` is written last.
point=${OPSPLAY_RUN_DIR:?}/restore-point
media='./wp-content/uploads'

save_restore_point() {
    if [ -f "$point/complete" ]; then
        check_restore_point
        return
    fi
    umask 077 # it holds passwords
    rm -rf "$point"
    # An incomplete one is of no use to anybody, and in the way of whoever has to make room.
    trap '[ -f "$point/complete" ] || rm -rf "$point"' EXIT
    trap 'exit 143' HUP INT TERM
    mkdir -p "$point" && chmod 700 "$point" || fail "$point could not be made; nothing was changed"
    find_client
    insist_on_room
    {
        (dump)
        echo $? >"$point/status"
    } | compress >"$point/database.sql" || fail "the database could not be saved below $point (is the disk full?)"
    [ "$(cat "$point/status")" = 0 ] || fail "the database could not be saved; nothing was changed"
    decompress "$point/database.sql" | tail -n 1 | grep -q 'Dump completed' ||
        fail "the saved database is not complete (is the disk full?); nothing was changed"
    list_code "$media" >"$point/files" || fail "the list of files could not be saved below $point (is the disk full?)"
    {
        (pack "$media")
        echo $? >"$point/status"
    } | compress >"$point/code.tar" || fail "the code could not be saved below $point (is the disk full?)"
    [ "$(cat "$point/status")" = 0 ] || fail "the code could not be saved; nothing was changed"
    decompress "$point/code.tar" | tar --list --file=- >/dev/null ||
        fail "the saved code cannot be read back (is the disk full?); nothing was changed"
    (cd "$point" && sha256sum database.sql files code.tar >sums) && sync || fail "the sums could not be saved below $point"
    mv "$point/sums" "$point/complete" && sync || fail "the restore point could not be completed below $point"
    check_restore_point
}

# Before anything is written: a full disk would hurt the site itself. Sizes in KiB.
insist_on_room() {
    free=$(df -Pk "$point" | awk 'NR == 2 { print $4 }')
    exclusions=$(printf '%s\n' "$volatile" "$media" && nested_installations) || exit 1
    code=$(cd "$root" && printf '%s\n' "$exclusions" | sed '/^$/d' | du -sk --exclude-from=- . | cut -f 1)
    tables=$(config size) || exit 1
    wanted=$((${code:-0} + ${tables:-0}))
    [ "${free:-0}" -ge "$wanted" ] ||
        fail "a restore point may take $((wanted / 1024)) MiB, only $((${free:-0} / 1024)) MiB are free below $point: make room on this host; nothing was changed"
}

check_restore_point() {
    [ -f "$point/complete" ] || fail "there is no complete restore point at $point"
    (cd "$point" && sha256sum --check --status complete) ||
        fail "the restore point at $point is damaged: its sums do not match; nothing was changed"
}

# Brings back members of the saved code ("." for all) and removes what appeared below the same paths.
put_back_code() {
    check_restore_point
    decompress "$point/code.tar" | tar -C "$root" --extract --file=- --preserve-permissions --numeric-owner \
        --overwrite --anchored --wildcards "$@" || fail "the saved code could not be brought back to $root (is the disk full?)"
}

# Files and directories that were not there when the restore point was saved; $1: an awk condition.
remove_newer() {
    list_code "$media" >"$point/files-now" || fail "the files below $root could not be listed"
    comm -13 "$point/files" "$point/files-now" | sed -n 's/^\.\///p' | awk "$1" | sort -r |
        while IFS= read -r path; do
            if [ -d "$root/$path" ] && [ ! -L "$root/$path" ]; then
                rmdir "$root/$path" 2>/dev/null || : # holds what is no code, such as uploads
            else
                rm -f "$root/$path" || exit 1
            fi
        done || fail "files that appeared since the restore point could not be removed below $root"
}

put_back_database() {
    find_client
    decompress "$point/database.sql" | load
}
