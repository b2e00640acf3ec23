<?php
// Reads wp-config.php without starting WordPress, and talks to its database. Arguments: root, url, task.
// The file is evaluated as WordPress would, minus its last line that loads wp-settings.php.
mysqli_report(MYSQLI_REPORT_OFF);

function opsplay_stop(string $why): void
{
    fwrite(STDERR, "opsplay: $why\n");
    exit(1);
}

function opsplay_config(string $root, string $url): array
{
    $file = "$root/wp-config.php";
    if (!is_file($file) && !is_file(dirname($root) . '/wp-settings.php')) {
        $file = dirname($root) . '/wp-config.php';
    }
    if (!is_file($file)) {
        opsplay_stop("no wp-config.php at $root, so there is no way to its database");
    }
    $code = preg_replace('/^\s*(?:require|include)(?:_once)?\b[^;]*wp-settings\.php[^;]*;/m', '', file_get_contents($file));
    $code = str_replace(
        ['__FILE__', '__DIR__'],
        [var_export($file, true), var_export(dirname($file), true)],
        $code
    );
    $_SERVER['HTTP_HOST'] = $_SERVER['SERVER_NAME'] = (string) parse_url($url, PHP_URL_HOST);
    defined('ABSPATH') || define('ABSPATH', "$root/");
    $table_prefix = 'wp_';
    ob_start();
    try {
        eval('?>' . $code);
    } catch (Throwable $error) {
        ob_end_clean();
        opsplay_stop('wp-config.php cannot be read: ' . $error->getMessage());
    }
    ob_end_clean();
    foreach (['DB_NAME', 'DB_USER', 'DB_PASSWORD', 'DB_HOST'] as $name) {
        defined($name) || opsplay_stop("wp-config.php does not define $name");
    }
    return opsplay_place(DB_HOST) + ['prefix' => $table_prefix];
}

// host, host:port, host:/socket, [::1]:port, as WordPress's own parse_db_host reads them.
function opsplay_place(string $host): array
{
    $socket = '';
    if (preg_match('#^(.*?):(/.*)$#', $host, $found)) {
        [, $host, $socket] = $found;
    }
    $port = 0;
    if (preg_match('/^\[([0-9a-f:]+)\](?::(\d+))?$/i', $host, $found) || preg_match('/^([^:]*):(\d+)$/', $host, $found)) {
        $host = $found[1];
        $port = (int) ($found[2] ?? 0);
    }
    $host = $host === '' ? 'localhost' : $host;
    if ($host === 'localhost' && $socket === '' && $port === 0) {
        $socket = (string) ini_get('mysqli.default_socket');
    }
    return ['host' => $host, 'port' => $port, 'socket' => $socket];
}

function opsplay_quoted(string $value): string
{
    return '"' . strtr($value, ['\\' => '\\\\', '"' => '\\"', "'" => "\\'", "\n" => '\\n', "\t" => '\\t', "\r" => '\\r']) . '"';
}

// What mysql and mysqldump read through --defaults-file: access never shows in a process list.
function opsplay_option_file(array $config): string
{
    $lines = ['[client]', 'user=' . opsplay_quoted(DB_USER), 'password=' . opsplay_quoted(DB_PASSWORD)];
    $lines[] = 'host=' . opsplay_quoted($config['host']);
    if ($config['port']) {
        $lines[] = 'port=' . $config['port'];
    }
    if ($config['socket'] !== '') {
        $lines[] = 'socket=' . opsplay_quoted($config['socket']);
    }
    return implode("\n", $lines) . "\n";
}

function opsplay_connect(array $config): mysqli
{
    $link = mysqli_init();
    $done = @$link->real_connect($config['host'], DB_USER, DB_PASSWORD, DB_NAME, $config['port'], $config['socket'] ?: null);
    $done || opsplay_stop('the database ' . DB_NAME . ' cannot be reached: ' . mysqli_connect_error());
    $link->set_charset('utf8mb4');
    return $link;
}

function opsplay_rows(mysqli $link, string $sql): array
{
    $result = $link->query($sql);
    $result || opsplay_stop("the database refused: {$link->error}");
    return $result === true ? [] : $result->fetch_all(MYSQLI_NUM);
}

function opsplay_name(string $name): string
{
    return '`' . str_replace('`', '``', $name) . '`';
}

// The site's tables. Alone in its database, a site owns all of it, tables of odd plugins included.
// Beside others it owns what begins with its prefix, except what begins with a neighbour's longer
// prefix; `wp_2_` is a neighbour only if it has users of its own (else it is part of a multisite).
function opsplay_tables(mysqli $link, string $prefix): array
{
    $all = opsplay_rows($link, 'SELECT table_name, table_type FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY table_name');
    $all = array_column($all, 1, 0);
    $neighbours = [];
    foreach (array_keys($all) as $name) {
        $other = substr($name, 0, -strlen('options'));
        if ("{$other}options" !== $name || $other === $prefix || !isset($all["{$other}posts"])) {
            continue;
        }
        $subsite = preg_match('/^' . preg_quote($prefix, '/') . '\d+_$/', $other);
        if (!$subsite || isset($all["{$other}users"])) {
            $neighbours[] = $other;
        }
    }
    return array_filter($all, function ($name) use ($prefix, $neighbours) {
        foreach ($neighbours as $other) {
            if (strncmp($name, $other, strlen($other)) === 0 && strlen($other) > strlen($prefix)) {
                return false;
            }
        }
        return !$neighbours || strncmp($name, $prefix, strlen($prefix)) === 0;
    }, ARRAY_FILTER_USE_KEY);
}

function opsplay_drops(array $tables): string
{
    $sql = "SET FOREIGN_KEY_CHECKS=0;\n";
    foreach ($tables as $name => $type) {
        $sql .= ($type === 'VIEW' ? 'DROP VIEW IF EXISTS ' : 'DROP TABLE IF EXISTS ') . opsplay_name($name) . ";\n";
    }
    return $sql;
}

// Which database this is, without telling, and the prefix of the site's tables in it: two environments
// of whom this is the same share their tables.
function opsplay_whose(mysqli $link, string $prefix): string
{
    $row = opsplay_rows($link, 'SELECT @@hostname, @@port, @@datadir, DATABASE()')[0];
    return hash('sha256', implode('|', [...$row, $prefix])) . ' ' . $prefix;
}

function opsplay_option(mysqli $link, string $prefix, string $name): string
{
    $rows = opsplay_rows($link, 'SELECT option_value FROM ' . opsplay_name("{$prefix}options") . " WHERE option_name = '" . $link->real_escape_string($name) . "'");
    return (string) ($rows[0][0] ?? '');
}

// --routines and --events need rights that many shared hosts do not give: ask for them where used.
function opsplay_extras(mysqli $link): string
{
    $wanted = '';
    foreach (['routines' => 'routine_schema', 'events' => 'event_schema'] as $what => $column) {
        $count = opsplay_rows($link, "SELECT COUNT(*) FROM information_schema.$what WHERE $column = DATABASE()")[0][0];
        $wanted .= $count > 0 ? "--$what\n" : '';
    }
    return $wanted;
}

// What mysqldump is told: one word a line.
function opsplay_dumped(mysqli $link, string $prefix): string
{
    $tables = array_keys(opsplay_tables($link, $prefix));
    $tables || opsplay_stop('the database ' . DB_NAME . ' holds no table of this site');
    return opsplay_extras($link) . implode("\n", [DB_NAME, ...$tables]);
}

// What a dump of these tables may take, in KiB; generous, for it will be compressed.
function opsplay_size(mysqli $link, array $tables): string
{
    $rows = opsplay_rows($link, 'SELECT table_name, data_length FROM information_schema.tables WHERE table_schema = DATABASE()');
    return (string) (int) ceil(array_sum(array_intersect_key(array_column($rows, 1, 0), $tables)) / 1024);
}

// What the scripts ask for by name; other files add theirs. PHP 7.4 knows no `match`.
function opsplay_tasks(): array
{
    $linked = function (callable $ask): callable {
        return function (array $config) use ($ask) {
            return $ask(opsplay_connect($config), $config['prefix']);
        };
    };
    return [
        'client' => 'opsplay_option_file',
        'name' => function () { return DB_NAME; },
        'tables' => $linked(function ($link, $prefix) { return implode("\n", array_keys(opsplay_tables($link, $prefix))); }),
        'drops' => $linked(function ($link, $prefix) { return opsplay_drops(opsplay_tables($link, $prefix)); }),
        'size' => $linked(function ($link, $prefix) { return opsplay_size($link, opsplay_tables($link, $prefix)); }),
        'whose' => $linked('opsplay_whose'),
        'dumped' => $linked('opsplay_dumped'),
        'database_version' => $linked(function ($link, $prefix) { return opsplay_option($link, $prefix, 'db_version'); }),
        'core_lock' => $linked(function ($link, $prefix) { return (string) (int) opsplay_option($link, $prefix, 'core_updater.lock'); }),
        'search_engines' => $linked(function ($link, $prefix) { return opsplay_option($link, $prefix, 'blog_public'); }),
        'debug_log' => function () { return defined('WP_DEBUG_LOG') && is_string(WP_DEBUG_LOG) && WP_DEBUG_LOG[0] === '/' ? WP_DEBUG_LOG : ''; },
    ] + (function_exists('opsplay_more_tasks') ? opsplay_more_tasks($linked) : []);
}

if (isset($argv[3])) {
    echo opsplay_tasks()[$argv[3]](opsplay_config($argv[1], $argv[2]));
}
