"""Runs one worker for all queues until it is stopped."""

from typing import Any

import redis
from django.core.management.base import BaseCommand, CommandError

from registration.worker import SlideWorker


class Command(BaseCommand):
    help = "Runs one background worker. Start as many as the machine has cores to spare."
    requires_system_checks = ()  # they load every page and its libraries

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            SlideWorker().work(logging_level=None)
        except redis.ConnectionError as error:
            raise CommandError(f"Redis does not answer: {error}. Check REDIS_URL.") from error
