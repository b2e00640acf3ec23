# What every script of a restore begins with. $place names site and environment, $root is where the
# files will go. The spool (mode 700) holds what was fetched until it is in place:
#
#     plan          what is being restored; another plan empties the spool
#     attempt       which attempt is at work: an older one that still runs ends when it is not its own
#     list          every name, in the order of the archives: STREAM HEX|- KIND PATH, by tabs; PATH
#                   as in the index (GNU tar unquotes it)
#     done.STREAM   proved to be whole
#     database      the dump, still compressed
#     tree          the files, beside the root where the spool is on another disk
set -u
LC_ALL=C
export LC_ALL
umask 077
spool=$HOME/.opsplay/restore/$place
d=$spool
tab=$(printf '\t')

existing() {
    there=$1
    while [ ! -d "$there" ]; do
        case $there in */?*) there=${there%/*} ;; *) there=/ ;; esac
        [ -n "$there" ] || there=/
    done
    printf '%s\n' "$there"
}
free_below() { df -Pk "$(existing "$1")" | awk 'NR == 2 { print $4 }'; }
disk_of() { df -Pk "$(existing "$1")" | awk 'NR == 2 { print $1, $NF }'; }
# Ends the script if it cannot be found out: the next one might get another answer, and leave things behind.
same_disk() {
    one=$(disk_of "$1") other=$(disk_of "$2")
    [ -n "$one" ] && [ -n "$other" ] || { echo "the disks of $1 and $2 cannot be found out" >&2; exit 1; }
    [ "$one" = "$other" ]
}

# A rename puts the tree into place at once; that needs one disk.
tree=$spool/tree
same_disk "$spool" "${root%/*}/" || tree=$root.opsplay-restore/tree

has() { command -v "$1" >/dev/null 2>&1; }
# openssl hashes with the processor's own instructions, up to 8 times as fast as sha256sum.
if has openssl && printf x | openssl dgst -sha256 -r >/dev/null 2>&1; then
    sha256() { openssl dgst -sha256 -r | cut -c 1-64; }
    sha256_each() { xargs -0 -r openssl dgst -sha256 -r; }
else
    sha256() { sha256sum | cut -c 1-64; }
    sha256_each() { xargs -0 -r sha256sum; }
fi

# What `list` says of one stream.
listed() { awk -F"$tab" -v of="$1" '$1 == of' "$spool/list"; }

# Compares what is in the tree with the list of one stream; says each path that differs.
proved() {
    listed "$1" >"$d/rows"
    grep -v '\\' "$d/rows" | awk -F"$tab" '$2 != "-"' >"$d/plain"
    cut -f 2 "$d/plain" >"$d/wanted"
    cut -f 4 "$d/plain" | sed 's,^,./,' | tr '\n' '\0' |
        (cd "$tree" && sha256_each) 2>/dev/null | sed -n 's/^\([0-9a-f]\{64\}\) .*/\1/p' >"$d/found"
    if [ "$(sha256 <"$d/wanted")" != "$(sha256 <"$d/found")" ]; then
        differing <"$d/plain" || return 1
    fi
    grep '\\' "$d/rows" | awk -F"$tab" '$2 != "-"' >"$d/odd"
    [ ! -s "$d/odd" ] || differing <"$d/odd" || return 1
    awk -F"$tab" '$2 == "-"' "$d/rows" >"$d/others"
    missing <"$d/others"
}

# The dot keeps a newline at the end of a name.
name_of() { name=$(printf '%b.' "$1"); name=$tree/${name%.}; }

differing() {
    while IFS=$tab read -r _ hex _ path; do
        name_of "$path"
        if [ ! -f "$name" ] || [ -L "$name" ] || [ "$(sha256 <"$name")" != "$hex" ]; then
            printf '%s\n' "$path"
            touch "$d/differs"
        fi
    done
    [ ! -e "$d/differs" ]
}

missing() {
    while IFS=$tab read -r _ _ sort path; do
        name_of "$path"
        case $sort in
        dir) [ -d "$name" ] && [ ! -L "$name" ] ;;
        link) [ -L "$name" ] ;;
        *) true ;;
        esac || { printf '%s\n' "$path"; touch "$d/differs"; }
    done
    [ ! -e "$d/differs" ]
}
