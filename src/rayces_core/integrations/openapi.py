"""Problems in the OpenAPI description of an application."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rayces_core.integrations.problems import MEDIA_TYPE

if TYPE_CHECKING:
    from fastapi import FastAPI

_PROBLEM: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "What was wrong (RFC 9457). Programs go by `code`; further members are facts of it.",
    "type": "object",
    "required": ["type", "title", "status", "code"],
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": ["urn:rayces:problem:slot_taken"]},
        "title": {"type": "string", "examples": ["That time is already taken"]},
        "status": {"type": "integer", "examples": [409]},
        "code": {"type": "string", "examples": ["slot_taken"]},
        "detail": {"type": "string"},
        "instance": {"type": "string", "examples": ["/appointments"]},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["in", "pointer", "code", "detail"],
                "properties": {name: {"type": "string"} for name in ("in", "pointer", "code", "detail")},
            },
        },
    },
    "additionalProperties": True,
}
_CONTENT: Final = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_RESPONSES: Final = {
    "4XX": {"description": "The request was refused", "content": _CONTENT},
    "5XX": {"description": "The server failed", "content": _CONTENT},
}
_FASTAPIS_OWN: Final = ("HTTPValidationError", "ValidationError")


def describe_problems(app: FastAPI) -> None:
    """Have each operation of the description answer with problems, instead of FastAPI's own 422."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(make())
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    for path in schema.get("paths", {}).values():
        for operation in path.values():
            if isinstance(operation, dict) and "responses" in operation:
                responses = operation["responses"]
                if "HTTPValidationError" in str(responses.get("422")):
                    del responses["422"]
                for status, response in _RESPONSES.items():
                    responses.setdefault(status, response)
    schemas = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    schemas["Problem"] = _PROBLEM
    return schema
