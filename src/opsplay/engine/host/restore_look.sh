# Looks at what a restore would need, and changes nothing. Standard input: how to fetch a few bytes
# (a curl configuration, then a line with a dot; nothing: not wanted).
for tool in curl age zstd gzip tar sha256sum openssl; do
    has $tool && echo "HAS $tool"
done
[ "$(printf x | tar --version 2>/dev/null | grep -c 'GNU tar')" = 0 ] || echo "HAS gnu-tar"
if php -r 'exit(PHP_SAPI === "cli" && extension_loaded("sodium") ? 0 : 1);' >/dev/null 2>&1 </dev/null; then
    echo "HAS php"
fi
# What an earlier attempt has fetched is there already, or makes room.
case $tree in "$spool"/*) held=$(du -sk "$spool" 2>/dev/null) ;; *) held=$(du -sk "$spool" "$tree" 2>/dev/null) ;; esac
echo "HELD $(printf '%s\n' "${held:-0}" | awk '{ sum += $1 } END { print sum + 0 }')"
echo "FREE $(free_below "$spool")"
echo "ROOM $(free_below "${root%/*}/")"
same_disk "$spool" "${root%/*}/" && echo "HAS one-disk"
if has curl && IFS= read -r first; then
    { printf '%s\n' "$first"; while IFS= read -r line && [ "$line" != . ]; do printf '%s\n' "$line"; done; } |
        curl -q -sS -K - -o /dev/null -w 'GET %{http_code} %{size_download} %{time_starttransfer} %{time_total}\n' 2>&1
fi
exit 0
