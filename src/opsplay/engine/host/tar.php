<?php
// tar(1) for hosts whose own reads no list of names: writes an archive in GNU's form to standard output.
// Arguments: the root, and where the names go that were packed. Standard input: names, each with a NUL.

[, $root, $packed] = $argv;
chdir($root) || exit(2);
$names = explode("\0", rtrim(stream_get_contents(STDIN), "\0"));
$done = fopen($packed, 'wb') ?: exit(2);
$written = 0;
$status = 0;

function put(string $bytes): void
{
    global $written;
    for ($at = 0; $at < strlen($bytes); $at += $count) {
        $count = @fwrite(STDOUT, $at ? substr($bytes, $at) : $bytes);
        if (!$count) {
            exit(141);
        }
    }
    $written += strlen($bytes);
}

// Numbers are octal; one that is too long for its field is binary with the first bit set.
function number(int $value, int $width): string
{
    if ($value >= 0 && $value < 8 ** ($width - 1)) {
        return sprintf('%0' . ($width - 1) . 'o', $value) . "\0";
    }
    return ($value < 0 ? "\xff" : "\x80") . str_repeat($value < 0 ? "\xff" : "\0", $width - 9) . pack('J', $value);
}

function header_of(string $name, string $kind, array $seen, int $size, string $target): string
{
    $head = str_pad(substr($name, 0, 100), 100, "\0")
        . number($seen['mode'] & 07777, 8) . number($seen['uid'], 8) . number($seen['gid'], 8)
        . number($size, 12) . number($seen['mtime'], 12) . '        ' . $kind
        . str_pad(substr($target, 0, 100), 100, "\0") . "ustar  \0" . str_repeat("\0", 247);
    $sum = array_sum(unpack('C*', $head));
    return substr_replace($head, sprintf("%06o\0 ", $sum), 148, 8);
}

function padded(string $bytes): string
{
    return $bytes . str_repeat("\0", -strlen($bytes) & 511);
}

function long(string $text, string $kind, array $seen): string
{
    $owner = ['mode' => 0644, 'mtime' => 0, 'uid' => 0, 'gid' => 0];
    return strlen($text) <= 100 ? ''
        : header_of('././@LongLink', $kind, $owner, strlen($text) + 1, '') . padded("$text\0");
}

foreach ($names as $name) {
    if ($name === '' || !($seen = @lstat($name))) {
        continue;
    }
    $type = $seen['mode'] & 0170000;
    $kind = [0100000 => '0', 0040000 => '5', 0120000 => '2'][$type] ?? '';
    $file = $kind === '0' ? @fopen($name, 'rb') : false;
    if ($kind === '' || ($kind === '0' && !$file)) {
        fwrite(STDERR, "tar: $name: Warning: Cannot open\n");
        continue;
    }
    $size = $kind === '0' ? fstat($file)['size'] : 0;
    $target = $kind === '2' ? (string) readlink($name) : '';
    $stored = $kind === '5' ? "$name/" : $name;
    put(long($target, 'K', $seen) . long($stored, 'L', $seen) . header_of($stored, $kind, $seen, $size, $target));
    for ($left = $size; $left > 0; $left -= strlen($bytes)) {
        $bytes = @fread($file, min($left, 1 << 18));
        if ($bytes === false || $bytes === '') {
            fwrite(STDERR, "tar: $name: File shrank by $left bytes; padding with zeros\n");
            $status = $bytes === false ? 2 : $status;
            for (; $left > 0; $left -= strlen($bytes)) {
                $bytes = str_repeat("\0", min($left, 1 << 18));
                put($bytes);
            }
            break;
        }
        put($bytes);
    }
    put(str_repeat("\0", -$size & 511));
    fwrite($done, "$name\n");
}
put(str_repeat("\0", 1024));
put(str_repeat("\0", -$written & 10239 ? (10240 - $written % 10240) % 10240 : 0));
fclose($done) || $status = 2;
exit($status);
