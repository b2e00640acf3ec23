# As the back office would start it, then as the command line would, then without plugins and themes,
# at last from the files alone: an answer is always had, with the reason why not a better one.
[ -f "$root/wp-includes/version.php" ] || fail "there is no WordPress at $root"
WP_CLI_CACHE_DIR=/nonexistent
export WP_CLI_CACHE_DIR
boot_error=
for attempt in --context=admin --context=cli --skip-plugins; do
    bare=
    if [ "$attempt" = --skip-plugins ]; then
        bare=--skip-themes
    fi
    # shellcheck disable=SC2086 # nothing, or one word
    answer=$(printf '%s' "$facts_php" | wp "$attempt" $bare --exec="$guard_php" eval-file - 2>&1 | tr -d '\0')
    case $answer in *'@@opsplay@@'*'@@end@@'*) break ;; esac
    if [ -z "$boot_error" ] || [ "$attempt" = --context=cli ]; then
        boot_error=$(printf '%s\n' "$answer" | grep -i -m 1 -e 'fatal' -e 'error' || printf '%s\n' "$answer" | tail -n 1)
        [ -n "$boot_error" ] || boot_error="it ends without a word"
    fi
    answer=
done
# Where only the back office does not start, the site does: nothing to report.
case $attempt in --context=*) boot_error= ;; esac
if [ -z "$answer" ]; then
    answer=$(printf '%s' "$files_php" | quiet_php -- "$root" "$url") || exit 1
fi
printf 'boot_error=%s\n' "$boot_error"
printf '%s\n@@unfinished@@\n' "$answer"
tell_unfinished
