<?php
// age(1) for hosts without it: encrypts standard input for the X25519 recipients in the arguments.
// The format is https://age-encryption.org/v1, written with libsodium, 64 KiB at a time.

const CHUNK = 65536;

function fail(string $why): void
{
    fwrite(STDERR, "age.php: $why\n");
    exit(1);
}

// The 32 bytes of a recipient such as age1… (bech32; the checksum guards against typing errors).
function recipient(string $text): string
{
    $letters = array_flip(str_split('qpzry9x8gf2tvdw0s3jn54khce6mua7l'));
    $sum = 1;
    $feed = function (int $value) use (&$sum): void {
        $top = $sum >> 25;
        $sum = (($sum & 0x1ffffff) << 5) ^ $value;
        foreach ([0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3] as $bit => $generator) {
            $sum ^= (($top >> $bit) & 1) ? $generator : 0;
        }
    };
    foreach ([3, 3, 3, 0, 1, 7, 5] as $value) { // "age", as bech32 spreads it
        $feed($value);
    }
    if (substr($text, 0, 4) !== 'age1') {
        fail("$text is not an X25519 recipient");
    }
    $bits = $held = 0;
    $bytes = '';
    foreach (str_split(substr($text, 4)) as $letter) {
        if (!isset($letters[$letter])) {
            fail("$text is not an X25519 recipient");
        }
        $feed($letters[$letter]);
        $held = (($held << 5) | $letters[$letter]) & 0xfff;
        $bits += 5;
        if ($bits >= 8) {
            $bits -= 8;
            $bytes .= chr(($held >> $bits) & 0xff);
        }
    }
    if ($sum !== 1 || strlen($text) !== 62) {
        fail("$text is not an X25519 recipient");
    }
    return substr($bytes, 0, 32);
}

function unpadded(string $bytes): string
{
    return rtrim(base64_encode($bytes), '=');
}

function stanza(string $file_key, string $recipient): string
{
    $secret = random_bytes(32);
    $share = sodium_crypto_scalarmult_base($secret);
    $shared = sodium_crypto_scalarmult($secret, $recipient);
    $key = hash_hkdf('sha256', $shared, 32, 'age-encryption.org/v1/X25519', $share . $recipient);
    $zeros = str_repeat("\0", 12);
    $wrapped = sodium_crypto_aead_chacha20poly1305_ietf_encrypt($file_key, '', $zeros, $key);
    return '-> X25519 ' . unpadded($share) . "\n" . unpadded($wrapped) . "\n";
}

function put(string $bytes): void
{
    for ($at = 0; $at < strlen($bytes); $at += $written) {
        $written = @fwrite(STDOUT, $at ? substr($bytes, $at) : $bytes);
        if (!$written) {
            fail('the pipe is closed');
        }
    }
}

// The next 64 KiB; fewer only at the end.
function chunk(): string
{
    $parts = '';
    while (strlen($parts) < CHUNK && !feof(STDIN)) {
        $part = fread(STDIN, CHUNK - strlen($parts));
        if ($part === false) {
            fail('the data cannot be read');
        }
        $parts .= $part;
    }
    return $parts;
}

if ($argc < 2) {
    fail('no recipient');
}
stream_set_read_buffer(STDIN, 0);
stream_set_chunk_size(STDIN, CHUNK);
stream_set_write_buffer(STDOUT, 0);

$file_key = random_bytes(16);
$header = "age-encryption.org/v1\n";
foreach (array_slice($argv, 1) as $one) {
    $header .= stanza($file_key, recipient($one));
}
$header .= '---';
$mac = hash_hmac('sha256', $header, hash_hkdf('sha256', $file_key, 32, 'header'), true);
$nonce = random_bytes(16);
put("$header " . unpadded($mac) . "\n$nonce");

$key = hash_hkdf('sha256', $file_key, 32, 'payload', $nonce);
$next = chunk();
for ($count = 0; ; $count++) {
    $now = $next;
    $next = strlen($now) < CHUNK ? '' : chunk();
    $last = $next === '';
    $number = "\0\0\0" . pack('J', $count) . ($last ? "\1" : "\0");
    put(sodium_crypto_aead_chacha20poly1305_ietf_encrypt($now, '', $number, $key));
    if ($last) {
        break;
    }
}
