"""Prints a link that logs somebody in once."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError

from config.accounts import first_admin, login_link
from registration import local_run
from viewer.management.arguments import database_needed

_DEFAULT = "http://127.0.0.1:8000"


class Command(BaseCommand):
    help = "Prints a link that logs a user in once, within 15 minutes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("user", nargs="?", help="user name; the first administrator if left out")
        parser.add_argument(
            "--base-url", help=f"where the server answers; the one running here if left out, else {_DEFAULT}"
        )

    def handle(self, *args: Any, user: str | None, base_url: str | None, **options: Any) -> None:
        try:
            running = local_run.running_at(local_run.make_folders())
            local_run.keep_secret_key()
        except (local_run.CannotStart, OSError) as error:
            raise CommandError(str(error)) from error
        with database_needed():
            account = _account(user)
        if account is None:
            raise CommandError(f"There is no active user {user!r}. Make one with manage.py createsuperuser.")
        self.stdout.write(login_link(account, base_url or running or _DEFAULT))


def _account(name: str | None) -> User | None:
    return User.objects.filter(username=name, is_active=True).first() if name else first_admin()
