# The log that the inventory names, or the first of the usual places that exists.
if [ -n "$error_log" ]; then
    set -- "$error_log"
else
    set -- "$(config debug_log 2>/dev/null)" "$content/debug.log" "$root/error_log" "$root/php_errorlog" \
        "$(quiet_php -r 'echo ini_get("error_log");' </dev/null)"
fi
for log in "$@"; do
    if [ -n "$log" ] && [ -f "$log" ] && [ -r "$log" ]; then
        printf '%s %s\n' "$(wc -c <"$log" | tr -d ' ')" "$log"
        exit 0
    fi
done
printf '0 %s\n' "$error_log"
