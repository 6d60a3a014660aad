"""The command line of the web server; `manage.py up` supervises it, `manage.py web` becomes it."""

import sys

from django.conf import settings


def web_command(host: str, port: int) -> list[str]:
    """One process, eight threads: reading and encoding tiles happens outside Python's lock."""
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "--host", host, "--port", str(port)),
        *("--workers", "1", "--blocking-threads", "8", "--no-ws", "--workers-kill-timeout", "3"),
        *("--log-level", "error", "--working-dir", str(settings.BASE_DIR), "config.wsgi:application"),
    ]
