"""The schema is true: whatever is sent to any operation, the answer is one that the schema names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.signals import request_finished, request_started
from django.db import close_old_connections
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from config.wsgi import application
from tests.api.conftest import Api, Rows

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
    ignored_auth,
]


def _generated() -> Any:
    generated = SchemaGenerator().get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return json.loads(OpenApiJsonRenderer().render(generated, renderer_context={}))


schema = schemathesis.openapi.from_dict(_generated())
schema.app = application


@pytest.fixture
def connection_stays_open() -> Iterator[None]:
    """Between requests, as with Django's own test client: the test's transaction is on it."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@schema.parametrize()
@settings(
    max_examples=12,
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@pytest.mark.usefixtures("connection_stays_open")
@pytest.mark.parametrize("caller", ["owner"])  # without a parameter pytest gives all operations one node id
def test_no_request_breaks_an_operation(case: Any, caller: str, user: User, rows: Rows) -> None:
    _point_to_a_row(case, rows)
    case.call_and_validate(headers={"Authorization": Api(user).defaults["HTTP_AUTHORIZATION"]}, checks=CHECKS)


def _point_to_a_row(case: Any, rows: Rows) -> None:
    """Small ids become those of rows that exist, so that requests get past 404."""
    kinds = {"slides": rows.fixed} | {f"{name}s": row for name, row in vars(rows).items()}
    kind = next(part for part in case.path.split("/") if part not in {"", "api"})
    if case.path_parameters.get("id") in range(1000):
        case.path_parameters["id"] = kinds[kind].pk


def test_the_schema_served_is_the_one_tested(api: Api) -> None:
    assert api.get("/api/schema/").json()["paths"] == _generated()["paths"]


def test_the_schema_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn")
    assert capsys.readouterr().err == ""
