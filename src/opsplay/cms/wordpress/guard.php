// Run by WP-CLI before WordPress starts (`--exec`), so that a boot leaves no trace: the session is
// read-only on the server (MyISAM and DDL included, where a rollback would not help and locks would
// make visitors wait), writes are turned into nothing so that no plugin stumbles, the object cache
// is left out, and nobody is called or logged to.
$opsplay_watch = function ($query) {
    static $guarded = null;
    global $wpdb;
    $link = isset($wpdb->dbh) ? $wpdb->dbh : null;
    if ($link instanceof mysqli && $link !== $guarded) {
        $guarded = $link;
        mysqli_query($link, 'SET SESSION TRANSACTION READ ONLY');
        $wpdb->suppress_errors(true);
    }
    $writes = '/^[\s(]*(INSERT|UPDATE|DELETE|REPLACE|ALTER|CREATE|DROP|TRUNCATE|RENAME|OPTIMIZE|REPAIR|LOCK|UNLOCK|LOAD|GRANT|START|BEGIN|COMMIT)\b/i';
    return preg_match($writes, (string) $query) ? 'DO 0' : $query;
};
WP_CLI::add_wp_hook('query', $opsplay_watch, PHP_INT_MAX);
foreach (['enable_loading_object_cache_dropin', 'enable_loading_advanced_cache_dropin', 'enable_maintenance_mode',
    'enable_wp_debug_mode_checks', 'action_scheduler_allow_async_request_runner', 'wp_redirect', 'pre_wp_mail'] as $hook) {
    WP_CLI::add_wp_hook($hook, function () { return false; }, PHP_INT_MAX);
}
WP_CLI::add_wp_hook('pre_get_ready_cron_jobs', function () { return []; }, PHP_INT_MAX);
