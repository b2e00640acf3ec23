# Fetches one stream: a pack into the tree, or the dump into the spool. Protocol, one line each:
#
#     host  HAVE (it is here and proved) · NEED · WANT n why · DONE · FAIL why · DIFFERS path …
#     ours  after NEED: an identity made for this restore and how long the stream's own age header is,
#           then a header for that identity in its place, then a dot
#           after WANT: GET sha256, then a curl configuration, then a dot · STOP
#
# Each segment is hashed before anything of it is decrypted. While one is decrypted, the next is on
# its way. $way is `relay` where the bytes come over this line, decrypted, after NEED.
exec 3<&0 4>&1 </dev/null 1>&2
d=$spool/get.$stream
pid=
say() { printf '%s\n' "$*" >&4; }
fail() { say "FAIL $*"; exit 1; }
rm -rf "$d"
mkdir "$d" || fail "$d cannot be made"
trap 'kill $pid 2>/dev/null; rm -rf "$d"' EXIT
trap 'exit 1' HUP INT TERM
echo $$ >"$d/pid"
renice -n 5 -p $$ >/dev/null 2>&1
case $compression in
zstd) decompress() { zstd -dcq; } ;;
gzip) decompress() { gzip -dc; } ;;
*) decompress() { cat; } ;;
esac
if [ "$way" = relay ]; then
    decrypt() { cat; }
elif has age; then
    decrypt() { age -d -i "$d/identity"; }
else
    decrypt() { php "$spool/twin.php" decrypt "$d/identity"; }
fi
if has curl; then
    get() { curl -q -sS -K - -o "$1" -w '%{http_code}' 2>"$d/err.get"; }
else
    get() { php "$spool/twin.php" get "$1" 2>"$d/err.get"; }
fi

# A pipe of 1 MiB in place of 64 KiB to whoever reads us: fewer switches between processes.
wide() { perl -e 'fcntl(STDOUT, 1031, 1 << 20)' 2>/dev/null || :; }
lines() { while IFS= read -r line <&3 && [ "$line" != . ]; do printf '%s\n' "$line"; done; }
mine() { [ "$(cat "$spool/attempt" 2>/dev/null)" = "$attempt" ]; }

# Leaves segment $1 in the spool, or ends with another status than 0.
segment() {
    why=
    while mine; do
        say "WANT $1 $why"
        IFS=' ' read -r verb wanted <&3 && [ "$verb" = GET ] || return 1
        http=$(lines | get "$d/segment.$1" 3<&- 4>&-)
        status=$?
        sum=$(sha256 <"$d/segment.$1") 2>/dev/null || sum=none
        touch "$spool" # its age tells whether anybody still goes on with it
        [ "$sum" != "$wanted" ] || return 0
        why="$status ${http:-000} $sum $(sed -n 1p "$d/err.get" 2>/dev/null)"
        rm -f "$d/segment.$1"
    done
    return 1
}

segments() {
    n=0
    segment 0 || return 1
    while :; do
        next=$((n + 1))
        pid=
        if [ $next -lt "$count" ]; then
            segment $next &
            pid=$!
        fi
        if [ $n = 0 ]; then
            cat "$d/header" && tail -c "+$((skip + 1))" "$d/segment.0"
        else
            cat "$d/segment.$n"
        fi || { [ -z "$pid" ] || kill "$pid" 2>/dev/null; return 1; }
        rm -f "$d/segment.$n"
        [ -n "$pid" ] || return 0
        wait "$pid" || return 1
        n=$next
    done
}

source_of() { if [ "$way" = relay ]; then cat <&3; else segments; fi; }

# Whether the dump in file $1 is the one that was saved, up to its last line. Unpacked twice: with a pipe
# beside the first time, whoever died at one end of it would leave the other waiting for ever.
whole_dump() {
    sum=$(decompress <"$1" 3<&- 4>&- | sha256 3<&- 4>&-)
    [ "$sum" = "$raw_sha256" ] || { why="the dump that arrived is not what was saved"; return 1; }
    [ -z "$trailer" ] || decompress <"$1" 3<&- 4>&- | tail -c 200 3<&- 4>&- | grep -q '^-- Dump completed' ||
        { why="the dump does not end with its own last line: it is cut off"; return 1; }
}

# What is not in the archive is no failure here: `prove` names it. With --same-order tar calls all that
# stands behind the first missing name missing, too.
into_tree() {
    if tar --version 2>/dev/null | grep -q 'GNU tar'; then
        listed "$stream" | awk -F"$tab" '{ print $4 == "." ? "." : "./" $4 }' >"$d/names"
        # --same-order: with thousands of names tar would look through all of them for each file.
        tar -C "$tree" -xpf - -b 1024 --numeric-owner --no-recursion $in_order -T "$d/names" 2>"$d/said" && return
        grep -q ': Not found in archive$' "$d/said" || { cat "$d/said" >&2; return 1; }
        ! grep -v -e ': Not found in archive$' -e ': Exiting with failure status' "$d/said" >&2
    else
        all=${tree%/*}/all.$stream
        rm -rf "$all" && mkdir "$all" && tar -C "$all" -xf - && by_name && rm -rf "$all"
    fi
}

# Other tars cannot read a list of names: all comes out beside the tree, and what is listed goes there.
by_name() {
    listed "$stream" | while IFS=$tab read -r _ _ sort path; do
        name_of "$path"
        from=$all${name#"$tree"}
        [ -e "$from" ] || [ -L "$from" ] || continue
        if [ "$sort" = dir ]; then
            mkdir -p "$name" && chmod "$(stat -c %a "$from")" "$name" &&
                { [ "$(id -u)" != 0 ] || ! has chown || chown "$(stat -c %u:%g "$from")" "$name"; }
        else
            mkdir -p "${name%/*}" && mv "$from" "$name"
        fi || { echo "$path could not be put into the tree" >&2; exit 1; }
    done
}

# Into the tree as a whole: a backup without an index.
all_into_tree() { tee "$d/raw" | tar -C "$tree" -xpf - --numeric-owner; }

keep() {
    case $kind in
    database) cat >"$d/part" ;;
    pack) if [ "$compression" = none ]; then into_tree; else { wide; decompress; } | into_tree; fi ;;
    whole)
        mkfifo "$d/raw" && sha256 <"$d/raw" >"$d/sum" &
        hashing=$!
        while [ ! -p "$d/raw" ]; do sleep 0.05 2>/dev/null || sleep 1; done
        decompress | all_into_tree
        status=$?
        wait $hashing
        return $status
        ;;
    esac
}

prove() {
    case $kind in
    database) whole_dump "$1" ;;
    pack) proved "$stream" >"$d/differing" ;;
    whole) [ "$(cat "$d/sum")" = "$raw_sha256" ] || { why="the files that arrived are not what was saved"; return 1; } ;;
    esac
}

left() { cat "$d/rc.$1" 2>/dev/null || echo none; }
told() { cat "$d"/err.* 2>/dev/null | tail -n 3 | tr '\n' ' '; }

why=
if [ "$(cat "$spool/done.$stream" 2>/dev/null)" = "$raw_sha256" ] && [ "$kind" != whole ]; then
    if prove "$spool/database"; then say HAVE; exit 0; fi
fi
rm -f "$spool/done.$stream" "$d/differs"
say NEED
if [ "$way" != relay ]; then
    IFS=' ' read -r identity skip <&3 && printf '%s\n' "$identity" >"$d/identity" && lines >"$d/header" || exit 1
fi
{ wide; source_of 2>"$d/err.source"; echo $? >"$d/rc.source"; } |
    { wide; decrypt 2>"$d/err.decrypt" 3<&- 4>&-; echo $? >"$d/rc.decrypt"; } |
    { keep 2>"$d/err.keep" 3<&- 4>&-; echo $? >"$d/rc.keep"; }
rm -f "$d/identity"
mine || exit 1
if [ "$(left source)$(left decrypt)$(left keep)" != 000 ]; then
    fail "$(left source) $(left decrypt) $(left keep) $(told)"
fi
why=
if ! prove "$d/part"; then
    sed -n '1,20s/^/DIFFERS /p' "$d/differing" >&4 2>/dev/null
    fail "0 0 0 ${why:-files are not what was saved}"
fi
if [ "$kind" = database ]; then mv "$d/part" "$spool/database" || fail "0 0 0 the spool cannot be written"; fi
printf '%s\n' "$raw_sha256" >"$spool/done.$stream" && say DONE
