"""What drf-spectacular can't see by itself: every operation answers errors in one shape."""

from typing import Any

_ERROR = {
    "type": "object",
    "description": "Why a request was not done: `code` is short and stable, `message` is for people.",
    "properties": {
        "code": {"type": "string"},
        "field": {"type": "string", "description": "The input at fault, dotted if nested; may be empty."},
        "message": {"type": "string"},
    },
    "required": ["code", "field", "message"],
    "additionalProperties": False,
}
_CONTENT = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_ANY = {400: "Invalid input", 401: "Not logged in", 403: "Not allowed", 404: "Not found, or not yours"}
_BODY = {413: "The body is too large", 415: "The body must be application/json"}


def add_errors(result: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    """A drf-spectacular postprocessing hook: the error responses of every operation."""
    result["components"].setdefault("schemas", {})["Error"] = _ERROR
    for methods in result["paths"].values():
        for operation in methods.values():
            responses = operation["responses"]
            for status, description in (_ANY | _BODY if "requestBody" in operation else _ANY).items():
                responses.setdefault(str(status), {"description": description})
            for status in responses:
                if status >= "400":
                    responses[status]["content"] = _CONTENT
    return result
