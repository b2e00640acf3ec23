"""The README.txt beside the backups: how a stranger restores them without opsplay."""

from __future__ import annotations

from opsplay.core.snapshot import site_prefix
from opsplay.core.vault import VaultSettings

BEGIN = "#--8<-- begin"
END = "#-->8-- end"


def readme(site: str, settings: VaultSettings) -> str:
    """Return the text; it names no snapshot, so that it is right for each of them."""
    prefix = site_prefix(site)
    text = _TEXT.replace("@FETCH@", _fetching(prefix, settings)).replace("@SITE@", site)
    return text.replace("@PREFIX@", prefix).replace("@BEGIN@", BEGIN).replace("@END@", END)


def script(text: str) -> str:
    """Return the shell script that a README.txt holds."""
    return text.partition(f"{BEGIN}\n")[2].partition(END)[0]


def _fetching(prefix: str, settings: VaultSettings) -> str:
    if settings.kind != "s3":
        return f"    mkdir -p {prefix} && cp -R {settings.folder or 'FOLDER'}/{prefix}. {prefix}"
    there = settings.endpoint or f"https://s3.{settings.region}.amazonaws.com"
    bucket = settings.bucket
    return (
        f"    aws --endpoint-url {there} s3 sync s3://{bucket}/{prefix} {prefix}\n"
        f"    rclone copy REMOTE:{bucket}/{prefix} {prefix}"
    )


_TEXT = r"""BACKUPS OF @SITE@
How to restore them with age, zstd, tar, mysql, sha256sum, awk, sed and a shell. Nothing else.

What is here (below @PREFIX@)
    <month>/snap/<name>.json         one manifest a backup; without it, it is not a backup
    <month>/db/<name>-*.age.NNNNN    the database's dump, in pieces
    <month>/pack/<name>-*.age.NNNNN  the files, in pieces
A name begins with the time of the backup (UTC). Pieces are joined in the order of their numbers,
then decrypted with age, then decompressed (.zst: zstd, .gz: gzip).

What you need
    key.txt       the age identity (it begins with AGE-SECRET-KEY-1). Its owner has it; this
                  storage does not, and neither has the web host.
    access.cnf    access to an empty database, readable by you alone (chmod 600):
                      [client]
                      host=localhost
                      user=...
                      password=...

1. Fetch the backups into an empty directory; keep the names. Either of:
@FETCH@

2. Save the lines between the two marks as restore.sh beside the directory v1.

@BEGIN@
set -eu
KEY=${KEY:-key.txt}             # the age identity
TARGET=${TARGET:-restored}      # where the files go
ACCESS=${ACCESS:-access.cnf}    # access to the database server
DATABASE=${DATABASE:-}          # its name; empty: leave the dump in $TARGET.sql
SNAP=${SNAP:-$(find @PREFIX@ -path '*/snap/*.json' | LC_ALL=C sort | tail -n 1)}   # the newest

# The manifest has one value a line: each piece's name is followed by its SHA-256.
awk -F'"' '/^ *"key": / { key = $4 } /^ *"sha256": / { print $4 "  " key }' "$SNAP" >pieces.txt
sha256sum -c --quiet pieces.txt

# part db | part pack: write the plain dump or the plain tar archive.
part() {
  first=$(sed -n "\,/$1/,p" pieces.txt | sed -n 1p)
  case $first in *.zst.age.*) plain='zstd -dc' ;; *.gz.age.*) plain='gzip -dc' ;; *) plain='cat' ;; esac
  sed -n "\,/$1/,s,^[0-9a-f]*  ,,p" pieces.txt | LC_ALL=C sort | xargs cat | age -d -i "$KEY" | $plain
}

# check db database: what comes out must have the SHA-256 that the host saw going in.
check() {
  wanted=$(awk -F'"' -v of="$2" '/^ *"name": /{name=$4} /"raw_sha256"/ && name==of {print $4}' "$SNAP")
  [ "$(part "$1" | sha256sum)" = "$wanted  -" ] || { echo "the $2 are not what was saved"; exit 1; }
}

if grep -q /pack/ pieces.txt; then
  check pack files
  mkdir -p "$TARGET"
  part pack | tar -xpf - -C "$TARGET"
  echo "files: in $TARGET"
fi
if grep -q /db/ pieces.txt; then
  check db database
  if [ -n "$DATABASE" ]; then
    part db | mysql --defaults-extra-file="$ACCESS" "$DATABASE"
    echo "database: in $DATABASE"
  else
    (umask 077; part db >"$TARGET.sql")
    echo "database: in $TARGET.sql"
  fi
fi
@END@

3. Make an empty database and a user for it. The old names stand in the restored files:
    WordPress    wp-config.php                   (DB_NAME, DB_USER, DB_PASSWORD, DB_HOST)
    PrestaShop   app/config/parameters.php       (database_name, database_user, ...)
    Joomla       configuration.php               ($db, $user, $password, $host)
   With the same names nothing has to be edited:
    CREATE DATABASE shop; CREATE USER 'shop'@'localhost' IDENTIFIED BY '...';
    GRANT ALL ON shop.* TO 'shop'@'localhost';
   With other names: edit that file after step 4.

4. Restore the newest backup:
    DATABASE=shop sh restore.sh
   or an older one:
    SNAP=@PREFIX@2026-11/snap/<name>.json DATABASE=shop sh restore.sh

5. Move the files to the web server's document root and open the site. If it was saved behind its
   maintenance page (WordPress: a file .maintenance), remove that file.
"""
