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
How to restore them with age, zstd, gzip, tar, mysql, sha256sum, awk, sed and a shell. Nothing else.

What is here (below @PREFIX@)
    <month>/snap/<name>.json            one manifest a backup; without it, it is not a backup
    <month>/snap/<name>.json.sig        its signature
    <month>/index/<name>-*.tsv.gz.age   every file of the backup, and which archive holds it
    <month>/pack/<name>-*.age.NNNNN     archives of files, in pieces
    <month>/db/<name>-*.age.NNNNN       the database's dump, in pieces
A name begins with the time of the backup (UTC). Pieces are joined in the order of their numbers,
then decrypted with age, then decompressed (.zst: zstd, .gz: gzip). A backup that saved only what
had changed names the older archives which it needs; the index says what to take from each.

An index has one line a file, of columns divided by tabs: kind, mode, size, mtime, ctime, inode,
sha256, archive, path, target of a link. In a path, \\ \n \t stand for a backslash, a new line and a
tab.

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
LC_ALL=C
export LC_ALL
KEY=${KEY:-key.txt}             # the age identity
TARGET=${TARGET:-restored}      # where the files go
ACCESS=${ACCESS:-access.cnf}    # access to the database server
DATABASE=${DATABASE:-}          # its name; empty: leave the dump in $TARGET.sql
SNAP=${SNAP:-$(find @PREFIX@ -path '*/snap/*.json' | sort | tail -n 1)}   # the newest
ONLY=${ONLY:-}                  # one file or directory, as in the index; empty: all, and the database
export ONLY

# The manifest has one value a line: each piece's name is followed by its SHA-256.
awk -F'"' '/^ *"key": / { key = $4 } /^ *"sha256": / { print $4 "  " key }' "$SNAP" >pieces.txt
sha256sum -c --quiet pieces.txt

# plain ARCHIVE: write the plain bytes of the archive, or dump, whose pieces are ARCHIVE.NNNNN.
plain() {
  case $1 in *.zst.age) unpack='zstd -dc' ;; *.gz.age) unpack='gzip -dc' ;; *) unpack='cat' ;; esac
  pieces=$(sed -n "s,^[0-9a-f]*  \(.*/$1\.[0-9]*\)\$,\1,p" pieces.txt | sort)
  [ -n "$pieces" ] || { echo "$1 is not named in $SNAP" >&2; exit 1; }
  printf '%s\n' "$pieces" | xargs cat | age -d -i "$KEY" | $unpack
}

# archive KIND: the archives of db or pack that the manifest names, without numbers.
archive() { sed -n "s,^[0-9a-f]*  .*/$1/\(.*\)\.[0-9]*\$,\1,p" pieces.txt | sort -u; }

# saved NAME: the SHA-256 of the plain bytes, as the host saw them going in.
saved() {
  awk -F'"' -v of="$1" '/^ *"name": /{name=$4} /"raw_sha256"/ && name==of {print $4}' "$SNAP"
}

INDEX=$(sed -n 's,^[0-9a-f]*  \(.*/index/.*\)$,\1,p' pieces.txt)
if [ -n "$INDEX" ]; then
  age -d -i "$KEY" "$INDEX" | gzip -dc >index.tsv
  wanted=$(awk -F'"' '/^ "index": /{on=1} on && /"raw_sha256"/ {print $4; exit}' "$SNAP")
  [ "$(sha256sum <index.tsv)" = "$wanted  -" ] || { echo "the index is not what was saved"; exit 1; }
  awk -F'\t' 'NF == 10 && (ENVIRON["ONLY"] == "" || $9 == ENVIRON["ONLY"] ||
    index($9, ENVIRON["ONLY"] "/") == 1)' index.tsv >wanted.tsv
  [ -s wanted.tsv ] || { echo "there is no $ONLY in this backup"; exit 1; }
  mkdir -p "$TARGET"
  awk -F'\t' '$8 != "-" && !($8 in seen) { seen[$8]; print $8 }' wanted.tsv >archives.txt
  while read -r name; do
    awk -F'\t' -v of="$name" '$8 == of { print $9 == "." ? "." : "./" $9 }' wanted.tsv >names.txt
    plain "$name" | tar -C "$TARGET" -xpf - --no-recursion -T names.txt
  done <archives.txt
  # sha256sum writes odd names as the index does, but for a tab.
  tab=$(printf '\t') mark=$(printf '\001')
  awk -F'\t' '$1 == "file" && $8 != "-" && $7 != "-" {
    print (index($9, "\\") ? "\\" : "") $7 "  ./" $9 }' wanted.tsv |
    sed "/^\\\\/ { s,\\\\\\\\,$mark,g; s,\\\\t,$tab,g; s,$mark,\\\\\\\\,g; }" >sums.txt
  (cd "$TARGET" && sha256sum -c --quiet -) <sums.txt
  awk -F'\t' '$1 == "file" && $8 == "-" { print "not in the backup (it could not be read): " $9 }' wanted.tsv
  echo "files: in $TARGET"
else
  for name in $(archive pack); do
    [ "$(plain "$name" | sha256sum)" = "$(saved files)  -" ] || { echo "the files are not what was saved"; exit 1; }
    mkdir -p "$TARGET"
    plain "$name" | tar -xpf - -C "$TARGET"
    echo "files: in $TARGET"
  done
fi
for name in $(archive db); do
  [ -z "$ONLY" ] || continue
  [ "$(plain "$name" | sha256sum)" = "$(saved database)  -" ] || { echo "the database is not what was saved"; exit 1; }
  if [ -n "$DATABASE" ]; then
    plain "$name" | mysql --defaults-extra-file="$ACCESS" "$DATABASE"
    echo "database: in $DATABASE"
  else
    (umask 077; plain "$name" >"$TARGET.sql")
    echo "database: in $TARGET.sql"
  fi
done
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
   or one file, or one directory:
    ONLY=wp-content/uploads/2026/photo.jpg sh restore.sh

5. Somebody may have asked to be erased since. Where there is a directory @PREFIX@erasures,
   carry those requests out before anybody sees the site (names begin with the time; leave out
   those older than the backup):
    (echo "SET sql_mode='';"; for one in @PREFIX@erasures/*.age; do age -d -i key.txt "$one"; done |
      sed -n -e 's/^ *"\(DELETE FROM .*;\)",*$/\1/p' -e 's/^ *"\(UPDATE .*;\)",*$/\1/p') |
      mysql --defaults-extra-file=access.cnf shop

6. Move the files to the web server's document root and open the site. If it was saved behind its
   maintenance page (WordPress: a file .maintenance), remove that file.

Who made it? (optional; needs OpenSSH)
   The agency tells its public key (ssh-ed25519 AAAA...). Write one line into a file `signers`:
    opsplay ssh-ed25519 AAAA...
   and ask whether the manifest is theirs, unchanged:
    ssh-keygen -Y verify -f signers -I opsplay -n opsplay -s <name>.json.sig <<name>.json
   (the last `<` is the shell's: the manifest comes by standard input). The manifest holds the sums
   of everything else, and of the manifest before it (previous_snap_sha256).
"""
