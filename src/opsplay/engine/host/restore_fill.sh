# Called by a driver with $new, an empty directory that is to become the site: the tree becomes it. Its
# own name, mode and owner come out of the archive. Called again with $old, it keeps what was the site.
if [ -n "${old:-}" ]; then
    (umask 077 && mkdir -p "$before") || exit 1
    if [ -e "$before/files" ]; then
        rm -rf "$old" # an earlier attempt of this run has kept the site as it was
    elif same_disk "$before" "$old"; then
        mv "$old" "$before/files"
    elif rm -rf "$root.opsplay-before" && mv "$old" "$root.opsplay-before" 2>/dev/null; then
        touch "$root.opsplay-before" # its age says when it may go
    else
        mv "$old" "$before/files" # to another disk: it is copied
    fi
else
    rmdir "$new" && mv "$tree" "$new"
fi
