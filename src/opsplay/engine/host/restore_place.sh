# Single files and directories go into place one by one, each by a rename on the same disk; what was
# there is moved to $before first. Nothing that came to a directory since is removed.
umask 022
mkdir -p "$root" && (umask 077 && mkdir -p "$before") || exit 1
put() {
    live=$root/$path
    kept=$before/$path
    case $path in */*) folder=${path%/*} ;; *) folder=. ;; esac
    if [ ! -d "$root/$folder" ]; then
        make_way && mkdir -p "$root/$folder" || return 1
    fi
    if [ -d "$tree/$path" ] && [ ! -L "$tree/$path" ]; then
        if [ -d "$live" ] && [ ! -L "$live" ]; then return 0; fi
        keep && mkdir "$live" && chmod "$(stat -c %a "$tree/$path")" "$live"
        return
    fi
    [ -e "$tree/$path" ] || [ -L "$tree/$path" ] || return 0 # an earlier attempt has moved it
    keep && mv "$tree/$path" "$live"
}
# A file may stand by now where a directory was.
make_way() {
    up='' rest=$path
    while [ "$rest" != "${rest#*/}" ]; do
        up=${up:+$up/}${rest%%/*} rest=${rest#*/}
        if [ ! -d "$root/$up" ] && { [ -e "$root/$up" ] || [ -L "$root/$up" ]; }; then
            mkdir -p "$before" && mv "$root/$up" "$before/$up"
            return
        fi
        mkdir -p "$before/$up"
    done
}
# Once kept, it stays: a second attempt must not put what came from the backup in its place.
keep() {
    if [ -e "$kept" ] || [ -L "$kept" ]; then
        if [ -d "$live" ] && [ ! -L "$live" ]; then rm -rf "$live"; fi
        return 0
    fi
    [ -e "$live" ] || [ -L "$live" ] || return 0
    mkdir -p "$before/$folder" && if [ -d "$live" ] && [ ! -L "$live" ]; then mv "$live" "$kept"; else ln "$live" "$kept" 2>/dev/null || cp -pP "$live" "$kept"; fi
}
cut -f 4 "$spool/list" | sed '$d' | while IFS= read -r path; do
    name_of "$path"
    path=${name#"$tree/"}
    put || { echo "$path could not be put into place" >&2; exit 1; }
done || exit 1
echo "KEPT files in $before"
