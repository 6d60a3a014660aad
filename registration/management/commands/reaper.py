"""Runs the reaper until it is stopped: dead attempts are tried again, lost rings are rung again."""

import signal
import threading
from typing import Any

from django.core.management.base import BaseCommand
from django.db import close_old_connections

from registration.recovery import sweep

INTERVAL_SECONDS = 2.0


class Command(BaseCommand):
    help = "Gives back the jobs of workers that died. One per installation; two do no harm."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopped.set())
        while not stopped.is_set():
            close_old_connections()
            sweep()
            stopped.wait(INTERVAL_SECONDS)
