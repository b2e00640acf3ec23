<?php
// The same records as GNU find's, for a host whose find(1) has no -printf. Patterns on standard input.
$patterns = array_filter(array_map('trim', file('php://stdin')), 'strlen');
$failed = false;

function left_out(string $path): bool
{
    global $patterns;
    foreach ($patterns as $pattern) {
        if (fnmatch($pattern, $path)) {
            return true;
        }
    }
    return false;
}

function look(string $folder): void
{
    global $failed;
    $names = @scandir($folder, SCANDIR_SORT_NONE);
    if ($names === false) {
        fwrite(STDERR, "find: '$folder': Permission denied\n");
        $failed = true;
        return;
    }
    foreach ($names as $name) {
        $path = "$folder/$name";
        if ($name === '.' || $name === '..' || left_out($path) || !($seen = @lstat($path))) {
            continue;
        }
        $link = ($seen['mode'] & 0170000) === 0120000 ? (string) @readlink($path) : '';
        echo sprintf(
            "x%x %s %d %d %d %s\0%s\0",
            $seen['mode'], $seen['size'], $seen['mtime'], $seen['ctime'], $seen['ino'], $path, $link
        );
        if (($seen['mode'] & 0170000) === 0040000) {
            look($path);
        }
    }
}

look('.');
exit($failed ? 1 : 0);
