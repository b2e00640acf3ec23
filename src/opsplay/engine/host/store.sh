# Saves streams: dump or tar, hash, compress, encrypt, cut into segments, hand each one over. `equip.sh`
# stands above; what stands below says `save …` for each stream.

# A pipe of 1 MiB in place of 64 KiB: fewer switches between processes, twice the speed. `pump` sees to
# the pipes at its own two ends.
wide() {
    case $1 in comp | enc) [ -z "$pump" ] || perl -e 'fcntl(STDOUT, 1031, 1 << 20)' 2>/dev/null ;; esac
}

# Sends the file $1 by the URL and headers in $2, and says how that went.
put() {
    rm -f "$d/reply"
    if [ $send = php ]; then
        http=$(printf '%s' "$2" | quiet_php "$d/upload.php" "$1" "$d/reply" "$rate" 2>"$d/sent.err" 3<&- 4>&-)
    else
        http=$(printf '%s' "$2" | decode |
            curl -q -sS -K - -T "$1" -o "$d/reply" -w '%{http_code}' 2>"$d/sent.err" 3<&- 4>&-)
    fi
    status=$?
    code=$(sed -n 's/.*<Code>\([A-Za-z]*\)<.*/\1/p' "$d/reply" 2>/dev/null | sed -n 1p)
    text=$(sed -n 's/.*<Message>\([^<]*\)<.*/\1/p' "$d/reply" 2>/dev/null | sed -n 1p)
    [ $status = 0 ] || text=$(first_line "$d/sent.err")
    say "RES $n $status ${http:-000} ${code:--} $text"
}

# Over the line, no faster than `rate`.
relay() {
    if [ "$rate" = 0 ]; then
        cat "$1" >&4
        return
    fi
    pieces=$(bytes "$1") || return 1
    pieces=$(((pieces + rate - 1) / rate))
    piece=0
    while [ $piece -lt $pieces ]; do
        dd if="$1" bs="$rate" skip=$piece count=1 2>/dev/null >&4 || return 1
        piece=$((piece + 1))
        sleep 1
    done
}

# What the controller gives before the first stream: lists of names, programs, an attempt to send.
receive() {
    n=0
    while IFS=' ' read -r verb one two <&3; do
        case $verb in
        GO)
            md5=$one
            return 0
            ;;
        TRY)
            why=$(dd if=/dev/zero bs=1024 count=1 of="$d/preflight" 2>&1) || unwritable
            put "$d/preflight" "$one"
            ;;
        FILE)
            why=$(dd bs="$two" count=1 iflag=fullblock of="$d/$one" <&3 2>&1) || unwritable
            [ "$(bytes "$d/$one")" = "$two" ] || return 1
            ;;
        *) return 1 ;;
        esac
    done
    return 1
}

unwritable() {
    wait_for_sender # its bytes come first
    abort "the spool ~/.opsplay/spool cannot be written: ${why%%
*}"
}

# Only for a storage that compares bodies with this, and not with SHA-256.
md5_of() {
    if has openssl; then set -- "$(openssl dgst -md5 -r <"$1")"; else set -- "$(md5sum <"$1")"; fi
    echo "${1%% *}"
}

hand_over() {
    say "SEG $name $n $size ${segment_sum%% *}${md5:+ $(md5_of "$segment")}"
    while IFS=' ' read -r verb config <&3; do
        case $verb in
        SKIP) return 0 ;;
        PUT) put "$segment" "$config" || return 1 ;;
        RELAY) relay "$segment" || return 1 ;;
        *) return 1 ;;
        esac
    done
    return 1
}

# While one segment travels, the next is made: there are two files for them, and never more.
wait_for_sender() {
    [ -z "$sender" ] || wait "$sender" || exit 1
    sender=
}

cut_up() {
    n=0
    while :; do
        segment=$d/segment.$turn
        # What dd says is kept here: where a disk is full there is no place for it.
        why=$(dd bs="$block" count=$((full / block)) iflag=fullblock of="$segment" <&6 2>&1 3<&- 4>&-) ||
            unwritable
        size=$(bytes "$segment") || abort "the size of a segment could not be found out"
        [ "$size" -gt 0 ] || return 0
        segment_sum=$(sum <"$segment") || abort "the SHA-256 of a segment could not be found out"
        turn=$((1 - turn))
        [ "$size" -eq "$full" ] || return 0
        wait_for_sender
        (exec 6<&- && hand_over) &
        sender=$!
        n=$((n + 1))
    done
}

left() { cat "$d/rc.$1" 2>/dev/null || echo none; }
stage() {
    at=$1
    shift
    wide "$at"
    "$@" 2>"$d/err.$at"
    echo $? >"$d/rc.$at"
}
compress() {
    case $comp in
    zstd) zstd -q -1 $alone -c ;; # half of level 3's time
    *) gzip -3 -c ;;
    esac
}
encrypt() {
    case $crypt in
    age) encrypt_by_age ;;
    *) quiet_php "$d/age.php" $recipients ;;
    esac
}
# Writes what passes to the one who hashes it, counts it and keeps its end.
copy() {
    if [ -n "$pump" ]; then
        perl -e "$pump" "$d/hash" "$d/raw.bytes" "$d/raw.end"
    else
        tee "$d/hash" "$d/count" "$d/end"
    fi
}
plain() { (stage src produce) | (stage tee copy); }
packed() { if [ "$compressed" = 1 ]; then plain | (stage comp compress); else plain; fi; }
sealed() { if [ $crypt = none ]; then packed; else packed | (stage enc encrypt); fi; }

# What tar was told to pack and did not: lines of `wanted` that are not in `names`.
missing() {
    if [ "$(wc -l <"$d/wanted")" != "$(wc -l <"$d/names")" ]; then
        sort -u "$d/wanted" >"$d/wanted.sorted" || return 1
        sort "$d/wanted.sorted" "$d/names" "$d/names" >"$d/wanted.twice" && uniq -u "$d/wanted.twice"
    fi
}

# Packs the names in the list, not what is in them; one that vanished or may not be read is left out.
# Each program by itself: of a pipeline only the last one's death would be known, and names that it did
# not get to see would be taken for unreadable.
pack() {
    : >"$d/names.raw"
    gzip -dc "$d/list.$name" >"$d/list" && tr '\0' '\n' <"$d/list" >"$d/wanted.raw" || return 2
    sed 's,/$,,' "$d/wanted.raw" >"$d/wanted" || return 2
    case $tar in
    gnu)
        tar --create --file=- --directory="$1" --ignore-failed-read \
            --hard-dereference --sparse --numeric-owner --blocking-factor=128 --verbose \
            --quoting-style=literal --index-file="$d/names.raw" \
            --no-recursion --null --no-unquote --files-from="$d/list"
        ended=$?
        grep -aq 'Read error' "$d/err.src"
        case $? in 1) ;; *) ended=2 ;; esac
        [ $ended != 1 ] || ended=0 # a file changed while it was read: the survey afterwards says which
        ;;
    php)
        quiet_php "$d/tar.php" "$1" "$d/names.raw" <"$d/list"
        ended=$?
        ;;
    *)
        (cd -- "$1" && xargs -0 -s 120000 sh -c \
            'echo >>"$0.runs" && exec tar --no-recursion -cvf - "$@"' "$d/names") <"$d/list" 2>"$d/names.out"
        ended=$?
        [ "$(bytes "$d/names.runs")" = 1 ] || {
            echo "tar on this host reads no list of names, and these are too many for its arguments; PHP would do" >&2
            return 2
        }
        grep '^tar:' "$d/names.out" >&2
        grep -v '^tar:' "$d/names.out" >"$d/names.raw"
        case $ended in 1 | 123) ended=0 ;; esac
        ;;
    esac
    sed 's,/$,,' "$d/names.raw" >"$d/names" || return 2
    missing >"$d/lost" || return 2
    return $ended
}

# Runs in its own process, beside the making of the next stream.
tell_end() {
    [ "$size" = 0 ] || { hand_over && n=$((n + 1)); } || return 1
    say "END $name $n"
    say "$facts"
    say "WHY $why"
    say "LOST $lost_bytes"
    [ "$lost_bytes" = 0 ] || cat "$d/lost.gz" >&4
}

# save NAME TRAILER COMPRESSED: saves what `produce` writes.
save() {
    name=$1 trailer=$2 compressed=$3
    rm -f "$d"/err.* "$d"/rc.* "$d"/raw.* "$d"/names* "$d"/lost "$d"/out "$d"/hash "$d"/count "$d"/end
    [ "$compressed" = 1 ] || echo - >"$d/rc.comp"
    [ $crypt != none ] || echo - >"$d/rc.enc"
    mkfifo "$d/out" "$d/hash" "$d/count" "$d/end" || abort "cannot make a pipe in $d"
    (exec <"$d/hash" >"$d/raw.sha256" 3<&- 4>&- && sum) & pids=$!
    if [ -z "$pump" ]; then
        wc -c <"$d/count" >"$d/raw.bytes" 3<&- 4>&- & pids="$pids $!"
        tail -c 200 <"$d/end" >"$d/raw.end" 3<&- 4>&- & pids="$pids $!"
    fi
    # Held open both ways until each side has it: nobody waits for somebody who never comes. The writers
    # get an end that only writes, or they would be readers too and never learn that we are gone.
    exec 5<>"$d/out"
    exec 6<"$d/out"
    exec 7>"$d/out"
    exec 5>&-
    # By exec: what is closed for a function only, the shell keeps open elsewhere.
    (exec >&7 3<&- 4>&- 6<&- 7>&- && sealed) & pipe=$!
    exec 7>&-
    hashers=$pids
    pids="$pids $pipe"
    cut_up
    exec 6<&-
    wait "$pipe"
    [ "$(left tee)" = 0 ] || kill $hashers 2>/dev/null
    wait $hashers
    pids=
    ending=-
    if [ -n "$trailer" ]; then
        ending=0
        if grep -aq '^-- Dump completed' "$d/raw.end"; then ending=1; fi
    fi
    raw=$(cat "$d/raw.sha256" 2>/dev/null)
    count=$(cat "$d/raw.bytes" 2>/dev/null)
    if [ ${#raw} -lt 64 ] || [ -z "$count" ]; then
        [ "$(left tee)" != 0 ] || echo 1 >"$d/rc.tee"
        raw=$(printf '%064d' 0)
    fi
    facts="PIPE $name src=$(left src) tee=$(left tee) comp=$(left comp) enc=$(left enc)"
    facts="$facts bytes=$((${count:-0})) sha256=${raw%% *} trailer=$ending"
    why=$(cat "$d"/err.src "$d"/err.tee "$d"/err.comp "$d"/err.enc 2>/dev/null | tail -n 3 | tr '\n' ' ')
    wait_for_sender
    lost_bytes=0
    if [ -s "$d/lost" ]; then
        gzip -c "$d/lost" >"$d/lost.gz" && lost_bytes=$(bytes "$d/lost.gz") ||
            abort "what could not be packed could not be told"
    fi
    tell_end &
    sender=$!
}

receive || exit 1
