# What no archive holds, one pattern a line; $1 holds more of them. A directory that may not be looked
# into is no reason to save nothing.
left_out() {
    {
        printf '%s\n' "$volatile" "$1"
        nested_installations || :
    } | sed '/^$/d'
}

# Tar archives of the root. GNU tar's status 1 says that a file changed while it was read: normal on
# a site that is in use.
pack() {
    exclusions=$(left_out "$1") || exit 1
    {
        printf '%s\n' "$exclusions" |
            tar -C "$root" --create --file=- --sort=name --numeric-owner --anchored --wildcards \
                --warning=no-file-changed --warning=no-file-removed --exclude-from=/dev/fd/3 . 3<&0 </dev/null
    } || [ $? = 1 ] || fail "the files below $root could not be packed"
}

# Every path below the root that is code, one a line, sorted; $1 holds more paths to leave out.
list_code() {
    left_out=$(printf '%s\n' "$volatile" "$1" && nested_installations) || exit 1
    (cd "$root" && find . -mindepth 1 -print) | WORDS=$left_out awk '
        BEGIN { count = split(ENVIRON["WORDS"], words, "\n") }
        {
            for (i = 1; i <= count; i++)
                if (words[i] != "" && ($0 == words[i] || index($0, words[i] "/") == 1)) next
            print
        }' | sort
}
