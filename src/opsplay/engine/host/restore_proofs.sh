# Nothing is changed unless every part of $plan is here and was proved: $parts, one a line.
umask 022
if [ "$(cat "$spool/plan" 2>/dev/null)" != "$plan" ]; then
    echo "what was fetched for this restore is not here any more: restore again" >&2
    exit 1
fi
printf '%s\n' "$parts" | while IFS=' ' read -r name sum; do
    [ "$(cat "$spool/done.$name" 2>/dev/null)" = "$sum" ] ||
        { echo "$name was not fetched whole: restore again" >&2; exit 1; }
done || exit 1
sync 2>/dev/null || :
