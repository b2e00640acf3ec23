<?php
// curl(1) for hosts without it. Arguments: file, where the reply goes, bytes a second (0: no limit).
// Standard input: base64 of curl's settings, of which `url`, `header` and the limits are heeded.
// Says the HTTP status; ends with the status that curl would have.

[, $file, $reply, $rate] = $argv;
$settings = base64_decode(stream_get_contents(STDIN));
$url = preg_match('/^url = "(.*)"$/m', $settings, $found) ? $found[1] : '';
$headers = preg_match_all('/^header = "(.*)"$/m', $settings, $found) ? $found[1] : [];
$limit = fn (string $name, int $default): int =>
    preg_match("/^$name = (\d+)$/m", $settings, $found) ? (int) $found[1] : $default;
$connect = $limit('connect-timeout', 15);
$patience = $limit('speed-time', 30);
$size = filesize($file);

function fail(int $status, string $why): void
{
    fwrite(STDERR, "upload.php: ($status) $why\n");
    echo '000';
    exit($status);
}

if (extension_loaded('curl')) {
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_UPLOAD => true,
        CURLOPT_INFILE => fopen($file, 'rb'),
        CURLOPT_INFILESIZE => $size,
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_CONNECTTIMEOUT => $connect,
        CURLOPT_TIMEOUT => $limit('max-time', 870),
        CURLOPT_LOW_SPEED_LIMIT => $limit('speed-limit', 1024),
        CURLOPT_LOW_SPEED_TIME => $patience,
        CURLOPT_MAX_SEND_SPEED_LARGE => (int) $rate,
    ]);
    $body = curl_exec($curl);
    if ($body === false) {
        fail(curl_errno($curl), curl_error($curl));
    }
    file_put_contents($reply, $body);
    echo curl_getinfo($curl, CURLINFO_RESPONSE_CODE);
    exit(0);
}

$part = parse_url($url);
$secure = $part['scheme'] === 'https';
$port = $part['port'] ?? ($secure ? 443 : 80);
if (!filter_var(trim($part['host'], '[]'), FILTER_VALIDATE_IP) && gethostbyname($part['host']) === $part['host']) {
    fail(6, "Could not resolve host: {$part['host']}");
}
$line = @stream_socket_client(
    ($secure ? 'ssl' : 'tcp') . "://{$part['host']}:$port", $number, $why, $connect
);
if (!$line) {
    fail($secure && !$number ? 35 : 7, "Failed to connect to {$part['host']}:$port: $why");
}
stream_set_timeout($line, $patience);
$host = $part['host'] . (isset($part['port']) ? ":$port" : '');
$head = "PUT {$part['path']}?{$part['query']} HTTP/1.1\r\nHost: $host\r\nConnection: close\r\n";
foreach ($headers as $header) {
    $head .= substr($header, -1) === ':' ? '' : "$header\r\n";
}
$send = function (string $bytes) use ($line): void {
    for ($at = 0; $at < strlen($bytes); $at += $written) {
        $written = @fwrite($line, $at ? substr($bytes, $at) : $bytes);
        if (!$written) {
            $waited = stream_get_meta_data($line)['timed_out'];
            fail($waited ? 28 : 55, $waited ? 'Operation too slow' : 'Send failure');
        }
    }
};
$send("{$head}Content-Length: $size\r\n\r\n");
$body = fopen($file, 'rb');
$piece = $rate > 0 ? max(1024, intdiv((int) $rate, 8)) : 1 << 18;
while (!feof($body) && ($bytes = fread($body, $piece)) !== false) {
    $send($bytes);
    if ($rate > 0) {
        usleep((int) (strlen($bytes) * 1e6 / $rate));
    }
}
$answer = '';
while (!feof($line) && strlen($answer) < 65536) {
    $bytes = fread($line, 8192);
    if ($bytes === false || $bytes === '') {
        break;
    }
    $answer .= $bytes;
}
if (!preg_match('{^HTTP/\S+ (\d{3})}', $answer, $found)) {
    fail(stream_get_meta_data($line)['timed_out'] ? 28 : 52, 'no reply from the server');
}
file_put_contents($reply, $answer);
echo $found[1];
