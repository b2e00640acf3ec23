<?php
// Makes a restored wp-config.php fit a scratch environment. Arguments: file. Standard input: JSON with
// `constants` (name to value) and `texts` (old to new). What the file defines of these constants is
// turned into a question that does nothing, wherever it stands; the values come first in the file.
function opsplay_fail(string $why): void
{
    fwrite(STDERR, "opsplay: $why\n");
    exit(1);
}

function opsplay_next(array $tokens, int $at): int
{
    for ($at++; isset($tokens[$at]) && is_array($tokens[$at]) && in_array($tokens[$at][0], [T_WHITESPACE, T_COMMENT, T_DOC_COMMENT], true); $at++);
    return $at;
}

// The index behind the closing bracket of the bracket at $at.
function opsplay_behind(array $tokens, int $at): int
{
    for ($depth = 0; isset($tokens[$at]); $at++) {
        $depth += $tokens[$at] === '(' ? 1 : ($tokens[$at] === ')' ? -1 : 0);
        if ($depth === 0) {
            return $at + 1;
        }
    }
    opsplay_fail('wp-config.php cannot be read: a bracket is not closed');
    return $at;
}

function opsplay_text(array $tokens, int $at): string
{
    $is_text = isset($tokens[$at]) && is_array($tokens[$at]) && $tokens[$at][0] === T_CONSTANT_ENCAPSED_STRING;
    return $is_text ? substr($tokens[$at][1], 1, -1) : '';
}

function opsplay_fitted(string $code, array $constants, array $texts): string
{
    $tokens = token_get_all($code);
    $new = '';
    for ($at = 0; isset($tokens[$at]); $at++) {
        $token = $tokens[$at];
        if (!is_array($token)) {
            $new .= $token;
            continue;
        }
        if ($token[0] === T_STRING && strtolower($token[1]) === 'define') {
            $open = opsplay_next($tokens, $at);
            $name = opsplay_text($tokens, opsplay_next($tokens, $open));
            if (($tokens[$open] ?? '') === '(' && array_key_exists($name, $constants)) {
                $new .= "defined('$name')";
                $at = opsplay_behind($tokens, $open) - 1;
                continue;
            }
        }
        $texty = in_array($token[0], [T_CONSTANT_ENCAPSED_STRING, T_ENCAPSED_AND_WHITESPACE], true);
        $new .= $texty ? strtr($token[1], $texts) : $token[1];
    }
    return $new;
}

$file = $argv[1];
$given = json_decode((string) stream_get_contents(STDIN), true);
$code = (string) @file_get_contents($file);
if (!preg_match('/^(?:\xEF\xBB\xBF)?\s*<\?php\b/', $code, $start)) {
    opsplay_fail("the backup holds no wp-config.php that can be read: the site cannot start from this backup alone");
}
$head = "<?php\n// Of a scratch environment, by opsplay.\n";
foreach ($given['constants'] as $name => $value) {
    $head .= "define('$name', " . var_export($value, true) . ");\n";
}
$code = $head . substr(opsplay_fitted(substr($code, strlen($start[0]) - 5), $given['constants'], $given['texts']), 5);
file_put_contents("$file.opsplay", $code) === strlen($code) && rename("$file.opsplay", $file)
    || opsplay_fail("$file could not be written");
