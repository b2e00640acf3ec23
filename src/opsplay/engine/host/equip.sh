# Begins a backup: a spool of its own, gentleness towards the site's visitors, and what tools there are.
# `store.sh` stands below. What stands above gives `spool`, `full` and `block` (bytes), `rate` (bytes/s,
# 0: no limit), `recipients`, `pump` (Perl), and `encrypt_by_age`. See `store_script.py`.
set -u
umask 077
exec 3<&0 4>&1 </dev/null 1>&2
LC_ALL=C
export LC_ALL
d=$HOME/.opsplay/spool/$spool@$$
pids=
sender=
md5=
turn=0
say() { printf '%s\n' "$*" >&4; }
abort() { say "ABORT $*"; exit 1; }
first_line() { sed -n 1p "$1" 2>/dev/null; }
has() { command -v "$1" >/dev/null 2>&1; }
quiet_php() { php -d display_errors=stderr -d log_errors=0 -d opcache.enable_cli=0 "$@"; }
bytes() { counted=$(wc -c <"$1") && echo $((counted)); }

rm -rf "${d%@*}"@* 2>/dev/null # may fail where an older attempt is still writing: it removes its own
for left in "${d%@*}"+*@*; do # of a second lane; one that begins beside us just now stays
    kill -0 "${left##*@}" 2>/dev/null || rm -rf "$left"
done
why=$(mkdir -p "$d" 2>&1) || abort "the spool $d cannot be made: $why"
# Whatever still runs for us is ended with us: whoever waits for a pipe's other end would wait for ever.
trap '[ -z "$pids$sender" ] || { trap "" TERM; kill 0 2>/dev/null; }; rm -rf "$d"' EXIT
trap 'exit 1' HUP INT TERM PIPE
renice -n 5 -p $$ >/dev/null 2>&1
ionice -c 2 -n 7 -p $$ >/dev/null 2>&1

say "HOST os $(uname -sr)"
for tool in zstd gzip age curl tar base64 sha256sum openssl perl; do
    version=
    if has $tool; then
        case $tool in
        openssl) version=$(openssl version 2>&1) ;;
        perl) version=$(perl -e 'print "perl $^V"' 2>&1) ;;
        *) version=$($tool --version 2>&1 | sed -n 1p) ;;
        esac
    fi
    say "HOST $tool $version"
    [ $tool != tar ] || tar_version=$version
done
for tool in dd mkfifo gzip; do
    has $tool || abort "$tool is not installed on this host"
done
[ "$(printf ab | dd bs=2 count=1 iflag=fullblock 2>/dev/null)" = ab ] ||
    abort "dd on this host has no iflag=fullblock: it cannot cut exactly"

# Tools: what is found here, else PHP, else what the controller can do in its place.
case $tar_version in *'GNU tar'*) tar=gnu ;; *) tar=words ;; esac
if has zstd; then comp=zstd; else comp=gzip; fi
# On threads of its own zstd is no faster here and takes 47 MB of memory in place of 7.
alone=--single-thread
[ $comp != zstd ] || zstd -q $alone -c </dev/null >/dev/null 2>&1 || alone=
if has age; then crypt=age; else crypt=none; fi
if has curl && { has base64 || has openssl; }; then send=curl; else send=none; fi
php_is_able='$is = PHP_SAPI === "cli";
    echo $is ? "cli " : "", $is && function_exists("sodium_crypto_scalarmult") ? "age " : "",
    $is && (extension_loaded("curl") || extension_loaded("openssl")) ? "send " : "", PHP_VERSION;'
if [ "$tar$crypt$send" != gnuagecurl ] && has php; then
    able=$(quiet_php -r "$php_is_able" 2>/dev/null)
    say "HOST php ${able##* }"
    case $able in cli*) [ $tar = gnu ] || tar=php ;; esac
    case $able in *age*) [ $crypt = age ] || crypt=php ;; esac
    case $able in *send*) [ $send = curl ] || send=php ;; esac
fi
if openssl dgst -sha256 -r </dev/null >/dev/null 2>&1; then
    sum() { openssl dgst -sha256 -r; }
elif has sha256sum; then
    sum() { sha256sum; }
elif has php; then
    sum() { quiet_php -r 'echo hash_file("sha256", "php://stdin"), " *stdin\n";'; }
else
    abort "neither openssl nor sha256sum nor php is installed on this host"
fi
has perl || pump=
say "READY comp=$comp crypt=$crypt send=$send tar=$tar"

if has base64; then
    decode() { base64 -d; }
else
    decode() { openssl base64 -d -A; }
fi
