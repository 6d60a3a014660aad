"""The API's own routes: the caller's token, and the schema as JSON and as a page."""

from __future__ import annotations

from typing import Any

from django.shortcuts import render
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authtoken.models import Token
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from viewer.api import user_of


class TokenSerializer(serializers.Serializer[Token]):
    token = serializers.CharField(source="key", read_only=True)


@method_decorator(never_cache, "dispatch")
class TokenView(APIView):
    """The caller's own token, for scripts: send it as `Authorization: Token <token>`."""

    @extend_schema(operation_id="token_show", responses=TokenSerializer)
    def get(self, request: Request) -> Response:
        """The token; made when first asked for."""
        token, _ = Token.objects.get_or_create(user=user_of(request))
        return Response(TokenSerializer(token).data)

    @extend_schema(operation_id="token_replace", request=None, responses={201: TokenSerializer})
    def post(self, request: Request) -> Response:
        """A new token; the old one stops working at once."""
        Token.objects.filter(user=user_of(request)).delete()
        return Response(TokenSerializer(Token.objects.create(user=user_of(request))).data, status=201)


class DocsView(APIView):
    """The schema as a page, without scripts or another host."""

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Any:
        schema = SchemaGenerator().get_schema(request=request, public=True)  # type: ignore[no-untyped-call]
        return render(request._request, "api/docs.html", {"operations": _operations(schema)})


def _operations(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"method": method.upper(), "path": path, **operation}
        for path, methods in schema["paths"].items()
        for method, operation in methods.items()
    ]
