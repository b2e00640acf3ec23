# Keeps the database as it is before another takes its place. A site that is broken, or a host without
# room, must not keep a backup from coming back: it says what it could not keep, and goes on.
(umask 077 && mkdir -p "$before") || exit 1
[ ! -f "$before/database.sql.gz" ] || exit 0 # an earlier attempt of this run has kept it
free=$(free_below "$before")
if [ "$((${free:-0} * 1024))" -lt "$wanted" ]; then
    echo "KEPT not the database: there is no room for its dump on this host"
    exit 0
fi
umask 077
{
    (
@DUMP@
    ) 2>"$before/why"
    echo $? >"$before/status"
} | gzip -1 -c >"$before/database.part"
if [ "$(cat "$before/status")" = 0 ] && gzip -dc "$before/database.part" | tail -n 1 | grep -q 'Dump completed'; then
    mv "$before/database.part" "$before/database.sql.gz"
    echo "KEPT database in $before/database.sql.gz"
else
    echo "KEPT not the database: $(tail -n 1 "$before/why" 2>/dev/null)"
fi
rm -f "$before/database.part" "$before/status" "$before/why"
