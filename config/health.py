"""Is the installation alive? Public, so it says only yes or no, and how many workers."""

import redis
from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.db import Error, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from rq import Worker


@login_not_required
@require_safe
def health(request: HttpRequest) -> JsonResponse:
    """200 when the database, Redis and at least one worker answer, else 503; never an error."""
    database, (bell, workers) = _database_answers(), _redis_and_workers()
    healthy = database and bell and workers > 0
    body = {
        "status": "ok" if healthy else "degraded",
        "database": database,
        "redis": bell,
        "workers": workers,
    }
    return JsonResponse(body, status=200 if healthy else 503, headers={"Cache-Control": "no-store"})


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except Error:
        return False
    return True


def _redis_and_workers() -> tuple[bool, int]:
    """Whether Redis answers, and how many workers it has heard of within their time to live."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as client:
            client.ping()
            return True, len(Worker.all(connection=client))
    except (redis.RedisError, OSError, ValueError):
        return False, 0
