"""Logging in by password and by link, tokens, health, headers."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import redis
from django.contrib.auth.models import User
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from config.accounts import MAX_FAILURES, login_link
from config.middleware import POLICY
from tests.api.conftest import Api
from tests.processes import ManagedProcess
from tests.registration.commands import run

PASSWORD = "tissue-and-glass"


@pytest.fixture(autouse=True)
def _no_failures_yet() -> None:
    cache.clear()


def _is_in(client: Client) -> bool:
    return client.get("/api/slides/").status_code == 200


def _log_in(client: Client, name: str, password: str, **extra: str) -> Any:
    return client.post("/login/", {"username": name, "password": password, **extra})


def test_password_login_and_logout(user: User) -> None:
    browser = Client()
    assert _log_in(browser, user.username, "wrong").status_code == 200
    assert not _is_in(browser)
    response = _log_in(browser, user.username, PASSWORD)
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert _is_in(browser)
    assert browser.get("/logout/").status_code == 405
    browser.post("/logout/")
    assert not _is_in(browser)


def test_login_never_leads_to_another_host(user: User) -> None:
    response = _log_in(Client(), user.username, PASSWORD, next="https://evil.example/")
    assert response.headers["Location"] == "/"


def test_a_form_without_csrf_token_is_refused(user: User) -> None:
    assert _log_in(Client(enforce_csrf_checks=True), user.username, PASSWORD).status_code == 403


def test_ten_wrong_passwords_lock_one_name_at_one_address(user: User, other_user: User) -> None:
    browser = Client()
    for _ in range(MAX_FAILURES):
        assert b"Too many attempts" not in _log_in(browser, user.username, "wrong").content
    assert b"Too many attempts" in _log_in(browser, user.username, PASSWORD).content
    assert not _is_in(browser)
    elsewhere = Client(REMOTE_ADDR="10.0.0.9")
    assert _log_in(elsewhere, user.username, PASSWORD).status_code == 302
    assert _log_in(browser, other_user.username, PASSWORD).status_code == 302


def test_a_link_logs_in_once(user: User) -> None:
    link = login_link(user, "http://localhost:8000/")
    assert link.startswith("http://localhost:8000/login/once/")
    path = link.removeprefix("http://localhost:8000")
    browser = Client()
    response = browser.get(path)
    assert (response.status_code, response.headers["Location"]) == (302, "/")
    assert _is_in(browser)
    assert browser.get(path).status_code == 302  # the same browser again: it is in already
    second = Client()
    assert second.get(path).status_code == 403
    assert not _is_in(second)


def test_a_link_ends_with_any_other_login(user: User) -> None:
    first, second = login_link(user, ""), login_link(user, "")
    assert Client().get(second).status_code == 302
    assert Client().get(first).status_code == 403


def test_a_link_ends_after_a_quarter_of_an_hour(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    link = login_link(user, "")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 14 * 60)
    assert Client().get(link).status_code == 302
    User.objects.filter(pk=user.pk).update(last_login=None)
    monkeypatch.setattr(time, "time", lambda: now + 16 * 60)
    assert Client().get(link).status_code == 403


@pytest.mark.parametrize("token", ["x", "a:b:c", "%00", "x" * 5000])
def test_a_forged_link_is_nothing(db: None, token: str) -> None:
    assert Client().get(f"/login/once/{token}/").status_code == 403


def test_a_changed_link_is_nothing(user: User, other_user: User) -> None:
    mine, theirs = login_link(user, ""), login_link(other_user, "")
    body, signature = mine.rstrip("/").split(":", 1)[0], theirs.rstrip("/").split(":", 1)[1]
    assert Client().get(f"{body}:{signature}/").status_code == 403


def test_the_command_prints_a_link_that_works(user: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("login_link", user.username, "--base-url", "http://localhost:9000")
    path = re.fullmatch(r"http://localhost:9000(/login/once/\S+)\n", capsys.readouterr().out)
    assert path
    browser = Client()
    browser.get(path[1])
    assert browser.get("/api/token/").json() == Api(user).get("/api/token/").json()


def test_the_command_makes_the_first_administrator(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("login_link")
    call_command("login_link")
    admin = User.objects.get()
    assert (admin.username, admin.is_superuser, admin.has_usable_password()) == ("admin", True, False)


def test_the_command_knows_no_strangers(db: None) -> None:
    with pytest.raises(CommandError, match="nobody"):
        call_command("login_link", "nobody")


def test_the_command_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    done = run("login_link", environment={"SLIDEPAIR_DATA": str(tmp_path / "new")})
    assert done.returncode != 0
    assert "manage.py migrate" in done.stderr
    place = {"SLIDEPAIR_DATA": str(tmp_path / "another" / "new")}
    assert run("migrate", "--verbosity", 0, environment=place).returncode == 0
    assert "/login/once/" in run("login_link", environment=place).stdout
    (tmp_path / "file").write_text("")
    done = run("login_link", environment={"SLIDEPAIR_DATA": str(tmp_path / "file")})
    assert done.returncode != 0
    assert "SLIDEPAIR_DATA" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_new_token_ends_the_old_one(user: User) -> None:
    caller = Api(user)
    old = caller.get("/api/token/").json()["token"]
    new = caller.post("/api/token/", content_type="application/json").json()["token"]
    assert new != old
    assert not _is_in(caller)
    assert _is_in(Api(user))


def test_health_without_a_worker(db: None, redis_server: ManagedProcess) -> None:
    response = Client().get("/health/")
    assert (response.status_code, response.json()) == (
        503,
        {"status": "degraded", "database": True, "redis": True, "workers": 0},
    )


def test_health_without_redis(db: None, settings: Any) -> None:
    for url in ("unix:///nowhere/redis.sock", "redis://127.0.0.1:1/0", "nonsense"):
        settings.REDIS_URL = url
        assert Client().get("/health/").json()["redis"] is False


def test_health_without_a_database(
    transactional_db: None, settings: Any, redis_server: ManagedProcess
) -> None:

    connection.close()
    name = connection.settings_dict["NAME"]
    connection.settings_dict["NAME"] = "/nowhere/database.sqlite3"
    try:
        response = Client().get("/health/")
    finally:
        connection.settings_dict["NAME"] = name
    assert (response.status_code, response.json()["database"]) == (503, False)


@pytest.mark.slow
def test_health_with_a_worker(worker: ManagedProcess, settings: Any) -> None:
    response = Client().get("/health/")
    assert (response.status_code, response.json()["workers"]) == (200, 1)
    with redis.Redis.from_url(settings.REDIS_URL) as client:  # as when its time to live has passed
        client.delete(*client.keys("rq:worker:*"))
    assert Client().get("/health/").json()["workers"] == 0


@pytest.mark.parametrize("path", ["/login/", "/health/", "/api/slides/", "/nothing/", "/"])
def test_every_answer_says_what_may_be_loaded(db: None, path: str) -> None:
    headers = Client().get(path).headers
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_cookies_stay_on_this_site(user: User) -> None:
    browser = Client()
    _log_in(browser, user.username, PASSWORD)
    session = browser.cookies["sessionid"]
    assert (session["samesite"], session["httponly"]) == ("Lax", True)


def test_the_policy_knows_openseadragons_style(settings: Any) -> None:
    """The one <style> that OpenSeadragon adds is let through by its hash; a new version must match it."""

    from django.conf import settings

    source = (
        settings.BASE_DIR / "node_modules/openseadragon/build/openseadragon/openseadragon.js"
    ).read_text()
    block = source[source.index("style.textContent =") :].split(";\n        document.head", 1)[0]
    style = "".join(re.findall(r"'(.*)'", block))
    assert b64encode(sha256(style.encode()).digest()).decode() in POLICY
