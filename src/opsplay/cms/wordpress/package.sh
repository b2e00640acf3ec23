# The bytes of a package are had once a host, and `#sha256=` behind its address says which bytes were
# rehearsed: staging and production get the very same ones, on whatever hosts they are.
marks=$opsplay_home/updates
site_mark=$marks/$(printf '%s' "$root" | sha256sum | cut -c 1-16)
archive=
archive_sha256=

sha256_of() {
    sha256sum <"$1" | cut -c 1-64
}

fetch_package() {
    [ -n "$package" ] || fail "no package of $what $version is offered for download (a licence may be missing); nothing was changed"
    address=${package%%#sha256=*}
    expected=${package#"$address"}
    expected=${expected#'#sha256='}
    (umask 077 && mkdir -p "$opsplay_home/packages") || fail "$opsplay_home cannot be written; nothing was changed"
    archive=$opsplay_home/packages/$(printf '%s\n%s' "$address" "$version" | sha256sum | cut -c 1-64).zip
    find "$opsplay_home/packages" -type f -mtime +90 -exec rm -f {} +
    if [ ! -f "$archive" ] || ! is_rehearsed "$archive"; then
        download
    fi
    archive_sha256=$(sha256_of "$archive")
}

is_rehearsed() {
    [ -z "$expected" ] || [ "$(sha256_of "$1")" = "$expected" ]
}

# The address may hold a licence key: no process list shows what comes by standard input.
download() {
    printf 'url = "%s"\n' "$(printf '%s' "$address" | sed 's/[\\"]/\\&/g')" |
        curl --fail --silent --show-error --location --proto '=http,https' --retry 3 --max-time 1800 \
            --output "$archive.$$" --config - || reject "the package of $what $version could not be downloaded"
    [ "$(head -c 2 "$archive.$$")" = PK ] || reject "what was downloaded as $what $version is no zip archive"
    is_rehearsed "$archive.$$" ||
        reject "the package is not the one that was rehearsed: $what $version has sha256 $(sha256_of "$archive.$$") now, it was $expected"
    mv "$archive.$$" "$archive" || reject "the package could not be kept at $archive"
}

reject() {
    rm -f "$archive.$$"
    fail "$*; nothing was changed"
}

# A mark says that an update was begun: whatever the files say then, they may be incomplete.
mark_begun() {
    (umask 077 && mkdir -p "$marks" && printf '%s\n%s\n%s\n' "$key" "$version" "$package" >"$marks/new.$$") &&
        mv "$marks/new.$$" "$begun" || fail "$begun could not be written; nothing was changed"
}

# Before the last line, so that a long answer which is cut keeps it.
tell_package() {
    [ -z "$archive" ] || printf 'package %s sha256 %s\n' "$archive" "$archive_sha256"
}

tell_unfinished() {
    for mark in "$site_mark".*; do
        [ ! -f "$mark" ] || cat "$mark" || fail "$mark cannot be read"
    done
}
