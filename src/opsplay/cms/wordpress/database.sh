# Access comes from wp-config.php, evaluated without starting WordPress, and travels by descriptors.
config() {
    printf '%s' "$database_php" | quiet_php -- "$root" "$url" "$@"
}

find_client() {
    for mysql in mariadb mysql; do
        command -v "$mysql" >/dev/null 2>&1 && break
    done
    for mysqldump in mariadb-dump mysqldump; do
        command -v "$mysqldump" >/dev/null 2>&1 && break
    done
    command -v "$mysql" >/dev/null 2>&1 || fail "neither mariadb nor mysql was found on this host"
    command -v "$mysqldump" >/dev/null 2>&1 || fail "neither mariadb-dump nor mysqldump was found on this host"
    database=$(config name) || exit 1
    [ -n "$database" ] || fail "wp-config.php names no database"
}

# --defaults-file and not --defaults-extra-file: a ~/.my.cnf would win over the latter.
with_access() (
    tool=$1
    shift
    exec 4<&0
    config client | MYSQL_TEST_LOGIN_FILE=/dev/null "$tool" --defaults-file=/dev/fd/3 "$@" 3<&0 0<&4 4<&-
)

dump_tables() (
    words=$(config dumped) || exit 1
    extras=
    help=$("$mysqldump" --help 2>/dev/null)
    case $help in *column-statistics*) extras="--column-statistics=0" ;; esac
    case $help in *set-gtid-purged*) extras="$extras
--set-gtid-purged=OFF" ;; esac
    IFS='
'
    set -f
    # shellcheck disable=SC2086 # one word a line is meant
    with_access "$mysqldump" --single-transaction --quick --skip-lock-tables --triggers --no-tablespaces \
        --hex-blob --default-character-set=utf8mb4 --max-allowed-packet=512M $extras $words </dev/null
)

# The first line says whose dump it is; `read_first_line` refuses to load it where it must not go.
first_line() {
    whose=$(config whose) || exit 1
    printf -- '-- opsplay dump: environment=%s database=%s prefix=%s\n' "$environment" "${whose%% *}" "${whose#* }"
}

# A pipe through which a copy of a stream passes, so that its last line can be looked at. Held open
# both ways (5), or nobody would be there to end it when the stream never starts.
watch_end() {
    watch=$(mktemp -d "${TMPDIR:-/tmp}/opsplay.XXXXXX") && mkfifo "$watch/copy" ||
        fail "no temporary directory with a pipe in it could be made"
    exec 5<>"$watch/copy"
    tail -c 200 "$watch/copy" >"$watch/end" 5<&- &
    tail_process=$!
}

last_line() {
    exec 5<&-
    wait "$tail_process"
    end=$(tail -n 1 "$watch/end")
    rm -rf "$watch"
}

# Whoever reads the dump looks for its last line: a copy of each byte, for us to look as well, would
# cost a quarter of the time that dumping takes.
dump() {
    (first_line) && dump_tables || fail "the database could not be dumped (status $?)"
}

# A dump of production must not land in production's own tables because staging's wp-config.php,
# copied by hand, still names them; nor under a prefix that this site does not read.
read_first_line() {
    IFS= read -r first || fail "no dump arrived"
    case $first in '-- opsplay dump: '*) ;; *) fail "this is not a dump made by opsplay: nothing was changed" ;; esac
    here=$(first_line) || exit 1
    [ "${first##* prefix=}" = "${here##* prefix=}" ] ||
        fail "the dump has table prefix ${first##* prefix=}, this site reads ${here##* prefix=}: nothing was changed"
    their_environment=${first#*environment=}
    their_environment=${their_environment%% *}
    theirs=${first#* database=}
    ours=${here#* database=}
    if [ "$theirs" = "$ours" ] && [ "$their_environment" != "$environment" ]; then
        fail "wp-config.php of $environment names the database of $their_environment: nothing was changed;" \
            "give $environment a database of its own"
    fi
}

# Reads a dump, first line included, on standard input. The old tables go first: what appeared
# since the dump must not stay. Ends well only when the end of the dump has been seen.
load() {
    read_first_line
    drops=$(config drops) || exit 1
    watch_end
    {
        printf '%s\n' "$drops" && tee "$watch/copy"
    } | with_access "$mysql" --default-character-set=utf8mb4 --max-allowed-packet=512M "$database"
    status=$?
    last_line
    [ "$status" = 0 ] || fail "the database could not be loaded (status $status): it is incomplete now"
    case $end in *'Dump completed'*) ;; *) fail "the dump ended early: the database is incomplete now" ;; esac
}

# Runs the SQL on standard input; without --force the first error ends it. Rows come out as they are.
apply() {
    with_access "$mysql" --batch --skip-column-names --raw --default-character-set=utf8mb4 "$database" ||
        fail "the database refused"
}
