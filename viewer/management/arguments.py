"""What the slide commands have in common."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager

from django.contrib.auth.models import User
from django.core.management.base import CommandError
from django.db import OperationalError, ProgrammingError

from viewer.wsi.scale import COARSEST_UM, FINEST_UM, is_statable

FAILED = 2  # exit status: unreadable input or invalid arguments


def um_per_px(text: str) -> tuple[float, float]:
    """`0.25` or `0.25,0.26` (x, y) as um/px."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    if len(values) not in (1, 2) or not all(is_statable(value) for value in values):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not µm/px: give one number or X,Y, each {FINEST_UM} to {COARSEST_UM:g}"
        )
    return values[0], values[-1]


@contextmanager
def database_needed() -> Iterator[None]:
    """CommandError with what to do where there is no database, or one without our tables."""
    try:
        yield
    except (OperationalError, ProgrammingError) as error:
        raise CommandError(
            f"The database can't be used ({error}). Set it up with `manage.py migrate`.", returncode=FAILED
        ) from error


def owner_named(name: str | None) -> User:
    """The user called `name`, or without one the only user, or the first administrator. CommandError."""
    with database_needed():
        found = _user(name)
    if found is None:
        missing = f"There is no user {name!r}" if name else "It is not clear who owns the slides"
        raise CommandError(
            f"{missing}; name one with --owner or make one with `manage.py createsuperuser`.",
            returncode=FAILED,
        )
    return found


def _user(name: str | None) -> User | None:
    users = User.objects.filter(is_active=True)
    if name is not None:
        return users.filter(username=name).first()
    return users.get() if users.count() == 1 else users.filter(is_superuser=True).order_by("pk").first()
