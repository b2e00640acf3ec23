"""The site, host and storage of the backup tests."""

from tests.backup.conftest import bench, mariadb, plain, seaweed  # noqa: F401
