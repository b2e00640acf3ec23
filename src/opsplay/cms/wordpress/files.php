<?php
// What can be known when WordPress does not start at all: headers of files, and the options in the
// database if it can be reached. Goes with database.php.
function opsplay_header(string $file, string $name): string
{
    $text = (string) file_get_contents($file, false, null, 0, 8192);
    return preg_match('/^(?:[ \t]*<\?php)?[ \t\/*#@]*' . preg_quote($name, '/') . ':(.*)$/mi', $text, $found)
        ? trim(preg_replace('/\s*(?:\*\/|\?>).*/', '', $found[1])) : '';
}

function opsplay_plugins(string $root, array $active): array
{
    $modules = [];
    $plugins = "$root/wp-content/plugins";
    foreach (array_merge(glob("$plugins/*.php"), glob("$plugins/*/*.php")) as $file) {
        $title = opsplay_header($file, 'Plugin Name');
        if ($title !== '') {
            $key = substr($file, strlen($plugins) + 1);
            $name = strpos($key, '/') ? dirname($key) : basename($key, '.php');
            $modules[] = ['name' => $name, 'version' => opsplay_header($file, 'Version'), 'title' => $title,
                'active' => in_array($key, $active, true), 'offer' => null];
        }
    }
    return $modules;
}

function opsplay_themes(string $root, array $active): array
{
    $modules = [];
    foreach (glob("$root/wp-content/themes/*/style.css") as $file) {
        $name = basename(dirname($file));
        $modules[] = ['name' => "theme:$name", 'version' => opsplay_header($file, 'Version'),
            'title' => opsplay_header($file, 'Theme Name'), 'active' => in_array($name, $active, true), 'offer' => null];
    }
    return $modules;
}

// Prefers an incomplete answer to none: the database may be what is broken.
function opsplay_options(string $root, string $url): array
{
    $config = opsplay_config($root, $url);
    $link = mysqli_init();
    $names = ['db_version', 'active_plugins', 'template', 'stylesheet'];
    if (!@$link->real_connect($config['host'], DB_USER, DB_PASSWORD, DB_NAME, $config['port'], $config['socket'] ?: null)) {
        return array_fill_keys($names, '');
    }
    return array_combine($names, array_map(function ($name) use ($link, $config) {
        return opsplay_option($link, $config['prefix'], $name);
    }, $names));
}

$text = (string) @file_get_contents("$argv[1]/wp-includes/version.php");
if (!preg_match('/(?:^|[;\s])\$wp_version\s*=\s*[\'"]([^\'"]+)/m', $text, $version)) {
    opsplay_stop("there is no WordPress at $argv[1] (no version in wp-includes/version.php)");
}
$options = opsplay_options($argv[1], $argv[2]);
$active = @unserialize($options['active_plugins'], ['allowed_classes' => false]);
echo "\n@@opsplay@@", json_encode([
    'version' => $version[1],
    'wanted_database_version' => preg_match('/(?:^|[;\s])\$wp_db_version\s*=\s*(\d+)/m', $text, $found) ? $found[1] : '',
    'database_version' => $options['db_version'],
    'modules' => array_merge(
        opsplay_plugins($argv[1], is_array($active) ? $active : []),
        opsplay_themes($argv[1], [$options['template'], $options['stylesheet']])
    ),
    'offers' => [],
    'withheld' => [],
    'source_error' => 'WordPress does not start, so nothing could be asked',
    'php_version' => PHP_VERSION,
], JSON_INVALID_UTF8_SUBSTITUTE), "@@end@@\n";
