"""The web server alone, for installations that run each part as a service of its own."""

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from registration.web_process import web_command


class Command(BaseCommand):
    help = "Serves pages and API; expects Redis, workers and a migrated database (`up` starts all of it)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        command = web_command(host, port)
        os.execv(command[0], command)  # noqa: S606  (no shell wanted: signals go to the server)
