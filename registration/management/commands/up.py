"""Everything on one machine: Redis, workers, reaper and web under one supervisor."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import connections

from config import accounts, env
from registration import local_run, redis_server
from registration.supervisor import NotReady, Service, Supervisor
from registration.web_process import web_command
from viewer.models import SlidePair


class Command(BaseCommand):
    help = "Starts SlidePair on this machine and keeps it running until Ctrl-C."
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--no-demo", action="store_true", help="do not make the demo pair")

    def handle(self, *args: Any, host: str, port: int, no_demo: bool, **options: Any) -> None:
        signal.signal(signal.SIGTERM, _stop)
        signal.signal(signal.SIGHUP, _stop)
        try:
            with local_run.only_one(local_run.make_folders()) as tell:
                self._run(host, port, tell, demo=not no_demo)
        except (local_run.CannotStart, redis_server.RedisMissing, NotReady) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            self.stdout.write("Stopped.")

    def _run(self, host: str, port: int, tell: Callable[[str], None], *, demo: bool) -> None:
        local_run.keep_secret_key()
        supervisor = Supervisor()
        try:
            self._start_redis(supervisor)
            self._prepare(demo)
            base_url = self._start_rest(supervisor, host, port)
            tell(base_url)
            self._welcome(base_url)
            supervisor.watch()
        finally:
            supervisor.stop()

    def _start_redis(self, supervisor: Supervisor) -> None:
        if env.text("REDIS_URL"):
            if not redis_server.answers(settings.REDIS_URL):
                raise local_run.CannotStart("No Redis answers at REDIS_URL. Start it, or unset REDIS_URL.")
            return
        folder = Path(settings.DATA_DIR) / "redis"
        folder.mkdir(mode=0o700, exist_ok=True)
        command = redis_server.server_command(settings.REDIS_SOCKET, folder)
        log = str(folder / redis_server.LOG_NAME)
        supervisor.add(Service("redis", command, lambda: redis_server.answers(settings.REDIS_URL), log=log))

    def _prepare(self, demo: bool) -> None:
        """The database's tables, an administrator, and something to look at."""
        call_command("migrate", verbosity=0, interactive=False)
        accounts.first_admin()
        wanted = demo and not SlidePair.objects.exists()
        connections.close_all()
        if wanted:
            maker = Service("demo", _manage("demo"))
            maker.start()
            try:
                maker.wait()
            finally:
                maker.send(signal.SIGKILL)

    def _start_rest(self, supervisor: Supervisor, host: str, wanted_port: int) -> str:
        for number in range(1, settings.WORKERS + 1):
            supervisor.add(Service(f"worker {number}", _manage("worker")))
        supervisor.add(Service("reaper", _manage("reaper")))
        port = local_run.free_port(host, wanted_port)
        if port != wanted_port:
            self.stdout.write(f"Port {wanted_port} is taken, so {port} is used.")
        base_url = f"http://{_reachable(host)}:{port}"
        web = Service("web", web_command(host, port), lambda: local_run.healthy(base_url), signal.SIGTERM)
        supervisor.add(web)
        return base_url

    def _welcome(self, base_url: str) -> None:
        link = accounts.login_link(accounts.first_admin(), base_url)
        connections.close_all()
        self.stdout.write(
            f"\nSlidePair is ready at {base_url}/\n"
            f"Log in once with this link, within 15 minutes:\n\n    {link}\n\n"
            "For another link: manage.py login_link. Ctrl-C stops everything.\n"
        )
        self.stdout.flush()


def _stop(number: int, frame: Any) -> None:
    raise KeyboardInterrupt


def _manage(command: str) -> list[str]:
    return [sys.executable, str(settings.BASE_DIR / "manage.py"), command]


def _reachable(host: str) -> str:
    """A name for the address bar."""
    if host in ("0.0.0.0", "::"):  # noqa: S104  (compared, not bound)
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host
