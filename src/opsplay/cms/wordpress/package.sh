# The bytes of a package are had once a host: staging and production get the very same file.
marks=$opsplay_home/updates
site_mark=$marks/$(printf '%s' "$root" | sha256sum | cut -c 1-16)

fetch_package() {
    [ -n "$package" ] || fail "no package of $what $version is offered for download (a licence may be missing); nothing was changed"
    mkdir -p "$opsplay_home/packages" "$marks" || fail "$opsplay_home cannot be written"
    archive=$opsplay_home/packages/$(printf '%s\n%s' "$package" "$version" | sha256sum | cut -c 1-64).zip
    find "$opsplay_home/packages" -type f -mtime +90 -exec rm -f {} +
    if [ ! -f "$archive" ]; then
        # The address may hold a licence key: no process list shows what comes by standard input.
        printf 'url = "%s"\n' "$(printf '%s' "$package" | sed 's/[\\"]/\\&/g')" |
            curl --fail --silent --show-error --location --proto '=http,https' --retry 3 --max-time 1800 \
                --output "$archive.$$" --config - || fail "the package of $what $version could not be downloaded; nothing was changed"
        [ "$(head -c 2 "$archive.$$")" = PK ] || {
            rm -f "$archive.$$"
            fail "what was downloaded as $what $version is no zip archive; nothing was changed"
        }
        mv "$archive.$$" "$archive" || fail "the package could not be kept at $archive"
    fi
    printf 'package %s sha256 %s\n' "$archive" "$(sha256sum <"$archive" | cut -c 1-64)"
}
