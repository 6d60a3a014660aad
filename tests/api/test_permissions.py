"""Who may call what: every route of the project, by four kinds of caller. A new route without a row fails."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from config.accounts import login_link
from registration.models import Archive, PairAlignment, RegionOfInterest, Registration
from tests.api.conftest import Api, Rows
from viewer.models import Slide, SlidePair


@dataclass(frozen=True)
class Row:
    """Statuses for one route; `url` takes the names of Rows' fields."""

    method: str
    url: str
    anonymous: int
    owner: int
    other: int
    admin: int


def _own(method: str, url: str, status: int = 200) -> Row:
    """An owner's thing in the API: 401 for nobody, 404 for others."""
    return Row(method, url, 401, status, 404, status)


def _anyone(method: str, url: str, status: int = 200) -> Row:
    """Something that every user has, each their own (an invalid body is 400 for all alike)."""
    return Row(method, url, 401, status, status, status)


def _own_page(url: str) -> Row:
    """As _own, but a browser that is not logged in is sent to the login page."""
    return Row("GET", url, 302, 200, 404, 200)


def _own_form(url: str) -> Row:
    """A form of a page: it leads back to a page, whatever it says."""
    return Row("POST", url, 302, 302, 404, 302)


def _page(url: str) -> Row:
    return Row("GET", url, 302, 200, 200, 200)


#: Route -> what is tried on it.
MATRIX: dict[str, list[Row]] = {
    "health/": [Row("GET", "/health/", 503, 503, 503, 503)],  # no worker in this test
    "login/": [Row("GET", "/login/", 200, 302, 302, 302)],
    "login/once/<str:token>/": [Row("GET", "/login/once/wrong/", 403, 302, 302, 302)],
    "logout/": [Row("POST", "/logout/", 302, 302, 302, 302)],
    "api/slides/": [_anyone("GET", "/api/slides/"), _anyone("POST", "/api/slides/", 400)],
    "api/slides/<int:pk>/": [_own("GET", "/api/slides/{fixed}/"), _own("PATCH", "/api/slides/{fixed}/")],
    "api/pairs/": [_anyone("GET", "/api/pairs/"), _anyone("POST", "/api/pairs/", 400)],
    "api/pairs/<int:pk>/": [_own("GET", "/api/pairs/{pair}/"), _own("PATCH", "/api/pairs/{pair}/")],
    "api/pairs/<int:pk>/alignments/": [
        _own("GET", "/api/pairs/{pair}/alignments/"),
        _own("POST", "/api/pairs/{pair}/alignments/", 202),
    ],
    "api/pairs/<int:pk>/pieces/": [_own("GET", "/api/pairs/{pair}/pieces/")],
    "api/alignments/<int:pk>/": [_own("GET", "/api/alignments/{alignment}/")],
    "api/alignments/<int:pk>/cancel/": [_own("POST", "/api/alignments/{alignment}/cancel/", 400)],
    "api/alignments/<int:pk>/retry/": [_own("POST", "/api/alignments/{alignment}/retry/", 400)],
    "api/regions/": [_anyone("GET", "/api/regions/"), _anyone("POST", "/api/regions/", 400)],
    "api/regions/<int:pk>/": [
        _own("GET", "/api/regions/{region}/"),
        _own("PATCH", "/api/regions/{region}/"),  # nothing asked, nothing changed
        _own("DELETE", "/api/regions/{region}/", 204),
    ],
    "api/registrations/": [
        _anyone("GET", "/api/registrations/"),
        _anyone("POST", "/api/registrations/", 400),
    ],
    "api/registrations/<int:pk>/": [_own("GET", "/api/registrations/{registration}/")],
    "api/registrations/<int:pk>/cancel/": [_own("POST", "/api/registrations/{registration}/cancel/", 400)],
    "api/registrations/<int:pk>/retry/": [_own("POST", "/api/registrations/{registration}/retry/", 400)],
    "api/registrations/<int:pk>/review/": [_own("POST", "/api/registrations/{registration}/review/", 400)],
    "api/registrations/<int:pk>/files/<str:name>": [
        _own("GET", "/api/registrations/{registration}/files/transform.json")
    ],
    "api/archives/": [_anyone("GET", "/api/archives/"), _anyone("POST", "/api/archives/", 400)],
    "api/archives/<int:pk>/": [_own("GET", "/api/archives/{archive}/")],
    "api/archives/<int:pk>/cancel/": [_own("POST", "/api/archives/{archive}/cancel/", 400)],
    "api/archives/<int:pk>/retry/": [_own("POST", "/api/archives/{archive}/retry/", 400)],
    "archives/<int:pk>/download": [_own("GET", "/archives/{archive}/download")],
    "api/align/": [_anyone("POST", "/api/align/", 400)],
    "api/methods/": [_anyone("GET", "/api/methods/")],
    "api/token/": [_anyone("GET", "/api/token/"), _anyone("POST", "/api/token/", 201)],
    "api/schema/": [_anyone("GET", "/api/schema/")],
    "api/docs/": [_anyone("GET", "/api/docs/")],
    "slides/<int:pk>/jpeg.dzi": [_own_page("/slides/{fixed}/jpeg.dzi")],
    "slides/<int:pk>/jpeg_files/<int:level>/<int:column>_<int:row>.jpeg": [
        _own_page("/slides/{fixed}/jpeg_files/0/0_0.jpeg")
    ],
    "slides/<int:pk>/png.dzi": [_own_page("/slides/{fixed}/png.dzi")],
    "slides/<int:pk>/png_files/<int:level>/<int:column>_<int:row>.png": [
        _own_page("/slides/{fixed}/png_files/0/0_0.png")
    ],
    "slides/<int:pk>/thumbnail.jpg": [_own_page("/slides/{fixed}/thumbnail.jpg")],
    "": [_page("/")],
    "jobs/": [_page("/jobs/")],
    "slides/": [_page("/slides/")],
    "slides/<int:pk>/": [_own_page("/slides/{fixed}/")],
    "slides/<int:pk>/scale/": [_own_form("/slides/{fixed}/scale/")],
    "pairs/new/": [Row("POST", "/pairs/new/", 302, 302, 302, 302)],
    "pairs/<int:pk>/": [_own_page("/pairs/{pair}/")],
    "registrations/<int:pk>/": [_own_page("/registrations/{registration}/")],
    "registrations/<int:pk>/review/": [_own_form("/registrations/{registration}/review/")],
    "registrations/<int:pk>/archive/": [_own_form("/registrations/{registration}/archive/")],
}
CASES = [row for rows in MATRIX.values() for row in rows]
CALLERS = ("anonymous", "other", "owner", "admin")


def _routes(patterns: list[URLPattern | URLResolver], prefix: str = "") -> Iterator[str]:
    for pattern in patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from _routes(pattern.url_patterns, route)
        else:
            yield route


def _is_admin_site(route: str) -> bool:
    return route.startswith("admin/")


#: The admin site's pages by address; log in and out, and its two regular expressions, aside.
ADMIN_URLS = [
    re.sub(r"<[^>]+>", "1", f"/{route}")
    for route in _routes(get_resolver().url_patterns)
    if _is_admin_site(route) and "(?P" not in route and route not in {"admin/login/", "admin/logout/"}
]


def test_every_route_has_a_row() -> None:
    routes = {route for route in _routes(get_resolver().url_patterns) if not _is_admin_site(route)}
    assert routes == set(MATRIX)


@pytest.fixture
def callers(user: User, other_user: User, admin_user: User) -> dict[str, User | None]:
    return {"anonymous": None, "owner": user, "other": other_user, "admin": admin_user}


def _session(user: User | None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def _ids(rows: Rows) -> dict[str, int]:
    return {name: value.pk for name, value in vars(rows).items()}


def _call(client: Client, row: Row, rows: Rows) -> int:
    body = "{}" if row.method in {"POST", "PATCH"} else ""
    with transaction.atomic():  # each caller finds everything as it was
        response = client.generic(
            row.method, row.url.format(**_ids(rows)), body, content_type="application/json"
        )
        transaction.set_rollback(True)
    return int(response.status_code)


@pytest.mark.parametrize("row", CASES, ids=[f"{row.method} {row.url}" for row in CASES])
def test_the_matrix(row: Row, callers: dict[str, User | None], rows: Rows) -> None:
    expected = {caller: getattr(row, caller) for caller in CALLERS}
    assert {caller: _call(_session(callers[caller]), row, rows) for caller in CALLERS} == expected
    if row.anonymous == 401:  # the API: a token is worth a session
        assert {caller: _call(Api(callers[caller]), row, rows) for caller in CALLERS} == expected


def test_what_others_tried_changed_nothing(callers: dict[str, User | None], rows: Rows) -> None:
    for row in (
        row for tried in MATRIX.values() for row in tried if row.method in {"PATCH", "DELETE", "POST"}
    ):
        for caller in ("anonymous", "other"):
            _session(callers[caller]).generic(
                row.method, row.url.format(**_ids(rows)), "{}", content_type="application/json"
            )
    counts = [model.objects.count() for model in (Slide, SlidePair, PairAlignment, RegionOfInterest)]
    assert [*counts, Registration.objects.count(), Archive.objects.count()] == [2, 1, 1, 1, 1, 1]
    rows.registration.refresh_from_db()
    assert (rows.registration.review, rows.registration.cancel_requested) == ("", False)


@pytest.mark.parametrize("caller", ["anonymous", "owner"])
def test_the_admin_site_is_for_administrators(caller: str, callers: dict[str, User | None]) -> None:
    client = _session(callers[caller])
    for url in ADMIN_URLS:
        response = client.get(url)
        assert response.status_code == 302, url
        assert response.headers["Location"].partition("?")[0].endswith("/login/"), url


def test_administrators_get_in(admin_user: User) -> None:
    assert _session(admin_user).get("/admin/").status_code == 200


def test_an_inactive_user_gets_nothing(user: User, rows: Rows) -> None:
    with_token, with_session, link = Api(user), _session(user), login_link(user, "")
    User.objects.update(is_active=False)
    assert with_token.get("/api/slides/").status_code == 401
    assert with_session.get("/api/slides/").status_code == 401
    assert Client().get(link).status_code == 403
