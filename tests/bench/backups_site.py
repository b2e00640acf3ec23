"""The site that is saved: files and a database, the same at each run, and changes to them.

10,000 files, about 1 GB: 7,500 texts of a shop (PHP, JavaScript) and 2,500 images, which no
compressor makes smaller; and a database whose dump has about 250 MB.
"""

# ruff: noqa: S608 - all numbers and names in the SQL are our own
from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.backup.database import Database

TEXTS, IMAGES = 7_500, 2_500
_TEXT_BYTES, _IMAGE_BYTES = 14_000, 350_000
_POSTS, _METAS = 60_000, 900_000
_A_FOLDER = 50
_VOCABULARY = """
return function public static array string foreach echo class extends implements private namespace
use null true false new price order product customer cart basket delivery address invoice tax country
currency $this $result $value $key $index $query $row $context => -> :: === !== && || ( ) { } [ ] ; ,
const let var document element addEventListener
"""


@dataclass(frozen=True)
class Shop:
    """One site on the host, and its share of the full size."""

    root: Path
    database: Database
    name: str
    """Of the database, its user and that user's password."""
    scale: float = 1.0

    @property
    def texts(self) -> int:
        """Return how many text files there are."""
        return max(20, int(TEXTS * self.scale))

    @property
    def images(self) -> int:
        """Return how many images there are."""
        return max(10, int(IMAGES * self.scale))

    def build(self) -> None:
        """Make files and database."""
        self.build_files()
        self._make_database()

    def build_files(self) -> None:
        """Make the files as they were at first, whatever is there."""
        shutil.rmtree(self.root, ignore_errors=True)
        self.root.mkdir(parents=True)
        for path, number in self._paths():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_content(path, number, 0))
        for name, text in _WORDPRESS.items():
            (self.root / name).parent.mkdir(exist_ok=True)
            (self.root / name).write_text(f"<?php {text}\n")
        (self.root / "wp-config.php").write_text(
            _CONFIG.format(name=self.name, socket=self._socket)
        )

    def change(self, generation: int) -> None:
        """Change one file of a hundred, of both kinds: others at each generation."""
        for path, number in self._paths():
            if number % 100 == generation % 100:
                path.write_bytes(_content(path, number, generation))

    def change_rows(self, generation: int) -> None:
        """Change one row of a thousand, and add a few orders."""
        self.database.sql(
            f"UPDATE wp_postmeta SET meta_value = MD5(CONCAT({generation}, meta_id))"
            f" WHERE meta_id % 1000 = {generation % 1000};"
            "INSERT INTO wp_posts (post_title, post_content) SELECT CONCAT('Order ', seq),"
            f" MD5(seq + {generation}) FROM seq_1_to_50;",
            self.name,
        )

    def fingerprint(self) -> str:
        """Return one hash of all files: names, modes and contents."""
        told = hashlib.sha256()
        for folder, names, files in os.walk(self.root):
            names.sort()
            for name in sorted(files):
                path = Path(folder, name)
                told.update(f"{path.relative_to(self.root)} {path.stat().st_mode:o}\n".encode())
                told.update(hashlib.sha256(path.read_bytes()).digest())
        return told.hexdigest()

    def rows(self) -> str:
        """Return the checksums of all tables."""
        return self.database.checksums(self.name)

    def empty(self) -> None:
        """Lose the files. They are moved, not removed: for minutes ext4 makes new files slowly in
        whose place many were deleted, and would hold that against whoever restores.
        """
        self.root.rename(self.root.with_name(f"{self.root.name}-lost-{time.monotonic_ns()}"))
        self.root.mkdir()

    @property
    def sizes(self) -> tuple[int, int]:
        """Return how many files there are, and their bytes."""
        paths = [path for path in self.root.rglob("*") if path.is_file()]
        return len(paths), sum(path.stat().st_size for path in paths)

    @property
    def _socket(self) -> Path:
        return self.database.socket

    def _paths(self) -> Iterator[tuple[Path, int]]:
        for number in range(self.texts):
            ending = "js" if number % 5 == 0 else "php"
            folder = self.root / f"wp-content/plugins/p{number // _A_FOLDER:03}"
            yield folder / f"class-{number:05}.{ending}", number
        for number in range(self.images):
            folder = self.root / f"wp-content/uploads/2026/{number // _A_FOLDER:02}"
            yield folder / f"photo-{number:05}.jpg", number

    def _make_database(self) -> None:
        name, posts, metas = self.name, int(_POSTS * self.scale) + 10, int(_METAS * self.scale) + 10
        self.database.sql(
            f"CREATE DATABASE {name} CHARACTER SET utf8mb4;"
            f"CREATE USER '{name}'@'localhost' IDENTIFIED BY '{name}';"
            f"GRANT ALL ON {name}.* TO '{name}'@'localhost';"
        )
        self.database.sql(_TABLES.format(posts=posts, metas=metas), name)


def _content(path: Path, number: int, generation: int) -> bytes:
    chance = random.Random(f"{path.name} {number} {generation}")
    if path.suffix == ".jpg":
        return b"\xff\xd8\xff" + chance.randbytes(int(_IMAGE_BYTES * chance.uniform(0.4, 1.6)))
    length = int(_TEXT_BYTES * chance.uniform(0.1, 1.9) / 6)
    words = chance.choices(_VOCABULARY.split(), k=length)
    lines = (" ".join(words[start : start + 11]) for start in range(0, length, 11))
    return f"<?php // {generation}\n".encode() + "\n".join(lines).encode()


_WORDPRESS = {
    "index.php": "require __DIR__ . '/wp-blog-header.php';",
    "wp-load.php": "require __DIR__ . '/wp-config.php';",
    "wp-settings.php": "exit;",
    "wp-includes/version.php": "$wp_version = '6.5.5'; $wp_db_version = 57155;",
    "wp-admin/index.php": "exit;",
}
"""By these the driver knows an installation; nothing ever starts it."""
_CONFIG = """<?php
define('DB_NAME', '{name}');
define('DB_USER', '{name}');
define('DB_PASSWORD', '{name}');
define('DB_HOST', 'localhost:{socket}');
$table_prefix = 'wp_';
require_once ABSPATH . 'wp-settings.php';
"""
_TABLES = """
CREATE TABLE wp_options (option_id INT PRIMARY KEY AUTO_INCREMENT, option_name VARCHAR(191) UNIQUE,
  option_value LONGTEXT) ENGINE=InnoDB;
INSERT INTO wp_options (option_name, option_value) SELECT CONCAT('option_', seq), MD5(seq) FROM seq_1_to_500;
CREATE TABLE wp_users (ID INT PRIMARY KEY AUTO_INCREMENT, user_login VARCHAR(60), user_email VARCHAR(100))
  ENGINE=InnoDB;
INSERT INTO wp_users (user_login, user_email) SELECT MD5(seq), CONCAT(seq, '@shop.invalid') FROM seq_1_to_5000;
CREATE TABLE wp_posts (ID INT PRIMARY KEY AUTO_INCREMENT, post_title TEXT, post_content LONGTEXT)
  ENGINE=InnoDB;
INSERT INTO wp_posts (post_title, post_content) SELECT CONCAT('Product ', seq), CONCAT(MD5(seq), REPEAT(CONCAT(
  'a fine loaf of bread number ', seq, ' baked in the morning '), 34), SHA2(seq, 512)) FROM seq_1_to_{posts};
CREATE TABLE wp_postmeta (meta_id INT PRIMARY KEY AUTO_INCREMENT, post_id INT, meta_key VARCHAR(255),
  meta_value LONGTEXT, KEY (post_id)) ENGINE=InnoDB;
INSERT INTO wp_postmeta (post_id, meta_key, meta_value) SELECT seq % 60000, CONCAT('_key_', seq % 40),
  CONCAT(MD5(seq), SHA1(seq), seq) FROM seq_1_to_{metas};
"""
