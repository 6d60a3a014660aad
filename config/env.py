"""Environment variables, read once and checked loudly."""

import os
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, default).strip()


def flag(name: str, default: bool) -> bool:
    value = text(name, "1" if default else "0").lower()
    if value not in _TRUE | _FALSE:
        raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}.")
    return value in _TRUE


def integer(name: str, default: int, minimum: int = 0) -> int:
    value = text(name, str(default))
    if not value.isdigit() or int(value) < minimum:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least {minimum}, not {value!r}.")
    return int(value)


def items(name: str) -> list[str]:
    return [item.strip() for item in text(name).split(",") if item.strip()]


def folders(name: str) -> list[Path]:
    return [Path(item).expanduser().resolve() for item in text(name).split(os.pathsep) if item]


def secret(name: str, file: Path) -> str:
    """The variable, else what `file` holds, else a fresh one: the commands without a server need no more."""
    try:
        kept = text(name) or file.read_text().strip()
    except OSError:  # not made yet, or another user's
        kept = ""
    return kept or secrets.token_urlsafe(50)


def database(name: str, default_file: Path) -> dict[str, Any]:
    """A Django database from a postgresql:// or sqlite:// URL; SQLite in `default_file` when unset."""
    url = text(name)
    scheme = url.partition("://")[0]
    if not url:
        return _sqlite(default_file)
    if scheme == "sqlite":
        return _sqlite(Path(unquote(urlsplit(url).path)))
    if scheme in {"postgres", "postgresql"}:
        return _postgresql(name, url)
    raise ImproperlyConfigured(f"{name} must start with postgresql:// or sqlite://.")


def _sqlite(file: Path) -> dict[str, Any]:
    options = {
        "timeout": 20,
        "transaction_mode": "IMMEDIATE",
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
    }
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": file, "OPTIONS": options}


def _postgresql(name: str, url: str) -> dict[str, Any]:
    """Read by libpq itself, so with sockets (?host=/run/postgresql) and options (?sslmode=require)."""
    from psycopg import ProgrammingError  # not needed, and not loaded, with SQLite
    from psycopg.conninfo import conninfo_to_dict

    try:
        options = conninfo_to_dict(url)
    except ProgrammingError:  # its message may hold the password
        raise ImproperlyConfigured(
            f"{name} can't be read. Write postgresql://USER:PASSWORD@HOST:PORT/NAME and give signs such as "
            "/ @ # % as %2F %40 %23 %25."
        ) from None
    places = {"NAME": "dbname", "HOST": "host", "PORT": "port", "USER": "user", "PASSWORD": "password"}
    return {
        "ENGINE": "django.db.backends.postgresql",
        **{key: str(options.pop(option, "")) for key, option in places.items()},
        "OPTIONS": options,
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
