<?php
/**
 * Plugin Name: Closed to visitors by opsplay
 * Description: Keeps visitors out while the site is being maintained; removed by itself afterwards.
 */
// The same file stands in two places: as .maintenance, which WordPress reads at each request (it
// deletes it after every update of its own), and as a must-use plugin for just those moments.
$upgrading = 0;
$opsplay_pass = isset($_SERVER['HTTP_X_OPSPLAY_PASS']) ? (string) $_SERVER['HTTP_X_OPSPLAY_PASS'] : '';
if (PHP_SAPI === 'cli') {
    // WP-CLI and cron jobs of the maintainer go on working.
} elseif ($opsplay_pass !== '' && hash_equals('@pass_sha256@', hash('sha256', $opsplay_pass))) {
    if (($_SERVER['HTTP_X_OPSPLAY_RESET'] ?? '') === '1' && !defined('OPSPLAY_RESET')) {
        define('OPSPLAY_RESET', true);
        $opsplay_caches = function_exists('opcache_reset') && ini_get('opcache.enable');
        if (!$opsplay_caches || @opcache_reset()) {
            header('X-Opsplay-Reset: done'); // whoever looks need not wait for opcache.revalidate_freq
        }
    }
} elseif (basename(__FILE__) === 'opsplay-closed.php') {
    http_response_code(503);
    header('Retry-After: 600');
    header('Cache-Control: no-store');
    header('Content-Type: text/html; charset=utf-8');
    if (is_file(WP_CONTENT_DIR . '/maintenance.php')) {
        require WP_CONTENT_DIR . '/maintenance.php';
    } else {
        echo '<!doctype html><meta name="robots" content="noindex"><title>Maintenance</title><h1>Briefly unavailable for scheduled maintenance.</h1>';
    }
    exit;
} else {
    // Newer than ten minutes at every request, or WordPress would open the site in the middle.
    $upgrading = time();
}
