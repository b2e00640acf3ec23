<?php
// What a restore does where the host has no age or no curl. `decrypt IDENTITY` reads an age file on
// standard input and writes its plain bytes; `get FILE` reads a curl configuration on standard input,
// fetches its address into FILE and prints the HTTP status.

function fail(string $why)
{
    fwrite(STDERR, "$why\n");
    exit(1);
}

function bech32(string $text, string $prefix): string
{
    $text = strtolower(trim($text));
    if (strpos($text, $prefix . '1') !== 0) {
        fail('this is no age identity');
    }
    $bits = '';
    foreach (str_split(substr($text, strlen($prefix) + 1, -6)) as $letter) {
        $value = strpos('qpzry9x8gf2tvdw0s3jn54khce6mua7l', $letter);
        $bits .= str_pad(decbin((int) $value), 5, '0', STR_PAD_LEFT);
    }
    $key = '';
    foreach (str_split(substr($bits, 0, 256), 8) as $byte) {
        $key .= chr((int) bindec($byte));
    }
    return $key;
}

// The key of the body, as the header holds it for this identity; the MAC proves the whole header.
function file_key(string $secret): string
{
    $public = sodium_crypto_scalarmult_base($secret);
    $proved = $first = fgets(STDIN);
    $key = '';
    if ($first !== "age-encryption.org/v1\n") {
        fail('this is no age file');
    }
    while (($line = fgets(STDIN)) !== false && strncmp($line, '---', 3) !== 0) {
        $proved .= $line;
        $words = explode(' ', rtrim($line));
        if ($words[0] === '->' && isset($words[2]) && $words[1] === 'X25519') {
            $body = fgets(STDIN);
            $proved .= $body;
            $share = base64_decode($words[2]);
            $shared = sodium_crypto_scalarmult($secret, $share);
            $wrapping = hash_hkdf('sha256', $shared, 32, 'age-encryption.org/v1/X25519', $share . $public);
            $found = sodium_crypto_aead_chacha20poly1305_ietf_decrypt(base64_decode(trim($body)), '', str_repeat("\0", 12), $wrapping);
            $key = $found === false ? $key : $found;
        }
    }
    $mac = hash_hmac('sha256', $proved . '---', hash_hkdf('sha256', $key ?: "\0", 32, 'header'), true);
    if ($key === '' || !hash_equals($mac, (string) base64_decode(trim(substr((string) $line, 4))))) {
        fail('the age header is not for this identity');
    }
    return $key;
}

function take(int $length): string
{
    $data = '';
    while (strlen($data) < $length && !feof(STDIN)) {
        $data .= fread(STDIN, $length - strlen($data));
    }
    return $data;
}

// Chunks of 64 KiB, each with its own tag; the number of a chunk and whether it is the last one are
// its nonce, so that none can be left out, moved or cut off.
function decrypt(string $identity)
{
    $key = hash_hkdf('sha256', file_key(bech32((string) file_get_contents($identity), 'age-secret-key-')), 32, 'payload', take(16));
    $chunk = take(65552);
    for ($number = 0, $last = false; !$last; $number++) {
        $next = strlen($chunk) < 65552 ? '' : take(65552);
        $last = $next === '';
        $nonce = str_repeat("\0", 3) . pack('J', $number) . chr((int) $last);
        $plain = sodium_crypto_aead_chacha20poly1305_ietf_decrypt($chunk, '', $nonce, $key);
        if ($plain === false) {
            fail('the stream was cut off or tampered with');
        }
        for ($done = 0; $done < strlen($plain); $done += $written) {
            $written = fwrite(STDOUT, $done ? substr($plain, $done) : $plain);
            if (!$written) {
                fail('what was decrypted could not be written');
            }
        }
        $chunk = $next;
    }
}

function get(string $file)
{
    if (!preg_match('/^url = "(.*)"$/m', (string) stream_get_contents(STDIN), $found)) {
        fail('there is no address to fetch from');
    }
    $options = ['http' => ['timeout' => 60, 'ignore_errors' => true, 'follow_location' => 0]];
    $from = @fopen($found[1], 'rb', false, stream_context_create($options));
    $status = isset($http_response_header[0]) ? (int) substr($http_response_header[0], 9, 3) : 0;
    printf('%03d', $status);
    if (!$from || $status !== 200) {
        fail("HTTP status $status");
    }
    $to = fopen($file, 'wb');
    if (!$to || stream_copy_to_stream($from, $to) === false || !fclose($to)) {
        fail("$file could not be written");
    }
}

ini_set('memory_limit', '128M');
$argv[1] === 'get' ? get($argv[2]) : decrypt($argv[2]);
