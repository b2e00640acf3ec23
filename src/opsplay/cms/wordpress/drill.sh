# For restore drills: the restored wp-config.php made to fit a scratch environment, and clearing away.
use_database() {
    [ -f "$root/wp-config.php" ] ||
        fail "wp-config.php is missing from the backup (it may lie above the root): the site cannot start from this backup alone"
    php_code=$use_database_php
    # The code comes as an argument, what it is given by standard input: the password is in no argument.
    printf '%s' "$given" | quiet_php -r "${php_code#<?php}" -- "$root/wp-config.php" || exit 1
    [ "$(config name)" = "$wanted_database" ] || fail "the restored wp-config.php still names another database"
}

# Everything but the configuration; tables only where wp-config.php still leads to them.
clear_away() {
    [ "$environment" != production ] || fail "production is never cleared away"
    if [ -f "$root/wp-config.php" ]; then
        find_client
        drops=$(config drops) || exit 1
        printf '%s\n' "$drops" | with_access "$mysql" "$database" || fail "the tables of $environment could not be removed"
    fi
    if [ -d "$root" ]; then
        find "$root" -mindepth 1 -maxdepth 1 ! -name wp-config.php -exec rm -rf {} + ||
            fail "the files below $root could not be removed"
    fi
    rm -rf "$root".opsplay-*
}
