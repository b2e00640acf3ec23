"""The embedded lab: real sshd, MariaDB, PHP, web server, S3 server and real WordPress sites.

Everything lives in one directory (`.lab/`) and in one cache of downloaded parts; everything is on
loopback and may be thrown away. The demo and the tests use the same lab.
"""

from opsplay.lab.laboratory import Lab, Status
from opsplay.lab.observing import Fingerprint, Versions
from opsplay.lab.relay import Relay

__all__ = ["Fingerprint", "Lab", "Relay", "Status", "Versions"]
