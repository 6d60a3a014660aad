"""The product's settings with a data folder, a database file and a Redis socket of this test run's own.

The environment is set, and not only the settings, so that real workers and servers started by
tests as processes see the same places.
"""

import os
import tempfile
from pathlib import Path

_folder = Path(tempfile.mkdtemp(prefix="slidepair-test-"))
os.environ["SLIDEPAIR_DATA"] = str(_folder)
os.environ["REDIS_URL"] = f"unix://{_folder}/run/redis.sock"
os.environ["SLIDEPAIR_SECRET_KEY"] = "only-for-tests-" + "x" * 40
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

from config.settings import *  # noqa: E402, F403
from config.settings import DATABASES  # noqa: E402

DATABASES["default"].setdefault("TEST", {})
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # a file: other processes use it too
    DATABASES["default"]["TEST"]["NAME"] = str(_folder / "test.sqlite3")
WHITENOISE_AUTOREFRESH = True  # looked up when asked for; each test client would list all static files
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
