"""Django's migrate, which makes the data folder first: without it SQLite has no place for its file."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate

from registration import local_run


class Command(migrate.Command):
    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            local_run.make_folders()
        except local_run.CannotStart as error:
            raise CommandError(str(error)) from error
        return super().execute(*args, **options)
