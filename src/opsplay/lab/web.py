"""php-fpm and nginx: one server block an environment, each with its own error log and mail trap."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from opsplay.core.errors import LabBroken
from opsplay.lab import hosts
from opsplay.lab.listening import answers, answers_on_socket
from opsplay.lab.observing import page
from opsplay.lab.places import LabEnvironment, Places
from opsplay.lab.processes import Daemon

_PATIENCE = 60.0
"""Seconds that a PHP request may keep OPcache from being emptied."""
_SBIN = "/usr/sbin:/usr/local/sbin"


def build(places: Places) -> None:
    """Write the configuration of both servers."""
    (places.web / "tmp").mkdir(parents=True, exist_ok=True)
    (places.web / "php-fpm.conf").write_text(_fpm(places))
    (places.web / "nginx.conf").write_text(_nginx(places))


def daemons(places: Places) -> list[Daemon]:
    """Return php-fpm and nginx."""
    conf, socket = places.web, places.web / "php.sock"
    as_root = ("--allow-to-run-as-root",) if os.geteuid() == 0 else ()
    php = (str(fpm_program()), "--nodaemonize", "-y", str(conf / "php-fpm.conf"), *as_root)
    nginx = shutil.which("nginx", path=f"{_SBIN}:{os.environ['PATH']}") or "/usr/sbin/nginx"
    web = (nginx, "-e", str(places.logs / "nginx-error.log"), "-c", str(conf / "nginx.conf"))
    ports = [one.port for one in places.environments()]
    return [
        Daemon("php", php, lambda: answers_on_socket(socket)),
        Daemon("web", web, lambda: all(answers(port) for port in ports)),
    ]


def fpm_program() -> Path:
    """Return Debian's php-fpm, the newest. Raises LabBroken when there is none."""
    found = sorted(Path("/usr/sbin").glob("php-fpm*"))
    if not found:
        raise LabBroken("php-fpm is not installed", next_command="apt-get install -y php-fpm")
    return found[-1]


def let_go_of_old_code(environment: LabEnvironment) -> None:
    """Empty OPcache, which would go on serving what was there before a reset.

    A restart of PHP would cut off other sites. Raises LabBroken when it cannot be emptied.
    """
    script = environment.root / "lab-let-go.php"
    script.write_text("<?php echo opcache_reset() ? 'done' : 'refused';\n")
    deadline = time.monotonic() + _PATIENCE
    try:
        # It refuses while an earlier reset waits for requests that are still being answered.
        while (answer := page(f"{environment.url}/{script.name}")) == (200, "refused"):
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
    finally:
        script.unlink()
    if answer != (200, "done"):
        raise LabBroken(f"OPcache could not be emptied: {answer[0]} {answer[1][:200]}")


def _fpm(places: Places) -> str:
    own = places.web
    account = "user = root\ngroup = root\n" if os.geteuid() == 0 else ""
    variables = hosts.environment(places, "web1")
    passed = "".join(
        f'env[{name}] = "{value}"\n' for name, value in variables.items() if name != "LABHOST"
    )
    return f"""[global]
error_log = {places.logs / "php-fpm.log"}
[lab]
{account}listen = {own / "php.sock"}
pm = ondemand
pm.max_children = 6
pm.process_idle_timeout = 60s
catch_workers_output = yes
{passed}php_admin_value[sendmail_path] = {places.home("web1") / "bin" / "sendmail"}
php_admin_value[upload_tmp_dir] = {own / "tmp"}
php_admin_value[session.save_path] = {own / "tmp"}
php_admin_flag[log_errors] = on
php_flag[display_errors] = off
php_admin_flag[opcache.enable] = on
php_admin_value[opcache.revalidate_freq] = 2
"""


def _nginx(places: Places) -> str:
    tmp = places.web / "tmp"
    temporary = "\n".join(
        f"  {kind}_temp_path {tmp / kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    blocks = "\n".join(_server(places, one) for one in places.environments())
    user = "user root;\n" if os.geteuid() == 0 else ""
    return f"""daemon off;
{user}worker_processes 1;
pid {places.web / "nginx.pid"};
events {{ worker_connections 256; }}
http {{
  include /etc/nginx/mime.types;
  access_log off;
  client_max_body_size 64m;
{temporary}
{blocks}
}}
"""


def _server(places: Places, one: LabEnvironment) -> str:
    return f"""  server {{
    listen 127.0.0.1:{one.port};
    root {one.root};
    index index.php;
    error_log {places.logs / f"{one.key}-web-error.log"};
    access_log {places.logs / f"{one.key}-access.log"};
    location / {{ try_files $uri $uri/ /index.php?$args; }}
    location ~ \\.php$ {{
      try_files $uri =404;
      include /etc/nginx/fastcgi_params;
      fastcgi_param HTTP_HOST $http_host;
      fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
      fastcgi_param PHP_ADMIN_VALUE "error_log={one.error_log}";
      fastcgi_pass unix:{places.web / "php.sock"};
      fastcgi_read_timeout 120s;
    }}
  }}"""
