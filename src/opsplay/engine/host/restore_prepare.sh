# Makes the spool ready for $attempt to carry out $plan. Standard input: `list`, gzipped. What an
# earlier attempt at the same plan has fetched stays; anything else goes.
mkdir -p "$spool" || { echo "$spool cannot be made" >&2; exit 1; }
printf '%s\n' "$attempt" >"$spool/attempt" || exit 1
for older in "$spool"/get.*; do
    [ -f "$older/pid" ] || continue
    pid=$(cat "$older/pid")
    n=0
    while [ -n "$pid" ] && kill -0 "$pid" 2>/dev/null && [ -d "$older" ] && [ $n -lt 50 ]; do
        n=$((n + 1))
        sleep 0.2 2>/dev/null || sleep 1
    done
done
rm -rf "$spool"/get.* "${tree%/*}"/all.*
if [ "$(cat "$spool/plan" 2>/dev/null)" != "$plan" ]; then
    rm -rf "$tree" "$spool"/done.* "$spool/database" "$spool/tree" || exit 1
    printf '%s\n' "$plan" >"$spool/plan" || exit 1
fi
if [ -n "$beside" ] && [ ! -d "$tree" ]; then
    rm -f "$spool"/done.files*
    mkdir -p "$tree" && chmod 700 "${tree%/*}" && chmod 755 "$tree" || { echo "$tree cannot be made" >&2; exit 1; }
fi
gzip -dc >"$spool/list.new" && [ "$(tail -n 1 "$spool/list.new")" = '=end' ] ||
    { echo "the list of files did not arrive whole, or $spool is full" >&2; exit 1; }
mv "$spool/list.new" "$spool/list" || exit 1

# Every directory, before several tars are at work: GNU tar gives a file up whose directory another one
# makes between its own two looks for it. Modes come out of the archives.
folders() {
    awk -F"$tab" 'NF == 4 { if ($3 != "dir") sub("(^|/)[^/]*$", "", $4); if ($4 != "") print "./" $4 }' "$spool/list" |
        sort -u >"$spool/folders" || return 1
    grep -v '\\' "$spool/folders" | tr '\n' '\0' | (cd "$tree" && xargs -0 -r mkdir -p) || return 1
    grep '\\' "$spool/folders" | while IFS= read -r path; do
        name_of "$path"
        mkdir -p "$name" || exit 1
    done
}
if [ -n "$beside" ]; then
    (umask 022 && folders) || { echo "$tree cannot be filled" >&2; exit 1; }
fi
printf '%s' "$twin" >"$spool/twin.php" && echo PREPARED
