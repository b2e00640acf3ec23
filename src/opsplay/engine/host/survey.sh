# Lists every name below $root, links not followed, without those that the function `left_out` prints as
# patterns, one a line. Standard output: gzip of pairs of strings that each end with NUL,
#     KIND MODE SIZE MTIME CTIME INODE ./PATH    TARGET
#     unreadable ./DIRECTORY                     (nothing)
#     end STATUS HOW                             (nothing)
# KIND is f, d, l or another letter and MODE octal; or, from stat(1), `x` and the raw mode in one word.
set -u
LC_ALL=C
export LC_ALL
renice -n 5 -p $$ >/dev/null 2>&1
cd -- "$root" || exit 1
patterns=$(left_out) || { echo "what is to be left out could not be found" >&2; exit 1; }

# The words for find(1) that keep it out of what matches a pattern.
set -f
IFS='
'
set --
for pattern in $patterns; do
    [ $# = 0 ] || set -- "$@" -o
    set -- "$@" -path "$pattern"
done
unset IFS
set +f
[ $# = 0 ] || set -- '(' "$@" ')' -prune -o

# stat(1) is asked of many names at once; where one has vanished meanwhile, of each by itself.
tell='line() {
    target=
    if [ -L "$2" ]; then target=$(readlink "$2"; echo x); target=${target%?x}; fi
    printf "x%s %s\0%s\0" "$1" "$2" "$target"
}
if said=$(stat -c "%f %s %Y %Z %i" "$@" 2>/dev/null); then
    while read -r numbers; do line "$numbers" "$1"; shift; done <<HERE
$said
HERE
else
    for name; do said=$(stat -c "%f %s %Y %Z %i" "$name" 2>/dev/null) && line "$said" "$name"; done
    true
fi'
look='for directory; do
    { [ -r "$directory" ] && [ -x "$directory" ]; } || printf "unreadable %s\0\0" "$directory"
done'

if find . -maxdepth 0 -printf '' 2>/dev/null; then
    how="find"
elif php -r 'exit(PHP_SAPI === "cli" ? 0 : 1);' >/dev/null 2>&1; then
    how="php"
else
    how="stat"
fi
{
    case $how in
    find) find . -mindepth 1 "$@" -printf '%y %m %s %T@ %C@ %i %p\0%l\0' ;;
    php) printf '%s\n' "$patterns" | php -d display_errors=stderr -r "$survey_php" ;;
    stat) find . -mindepth 1 "$@" -exec sh -c "$tell" sh {} + ;;
    esac
    status=$?
    [ $status = 0 ] || find . "$@" -type d -exec sh -c "$look" sh {} + 2>/dev/null
    printf 'end %s %s\0\0' $status $how
} | gzip -1 -c
