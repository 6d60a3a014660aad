"""Request bodies: JSON of a size that this API can need."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

MAX_BYTES = 2**20


class TooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"
    default_detail = f"The body has more than {MAX_BYTES} bytes."


class BoundedJSONParser(JSONParser):
    """Refuses what would fill the memory or the stack."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        body = stream.read(MAX_BYTES + 1)
        if len(body) > MAX_BYTES:
            raise TooLarge
        try:
            return super().parse(BytesIO(body), media_type, parser_context)
        except RecursionError as error:
            raise ParseError("The JSON is nested too deeply.") from error
