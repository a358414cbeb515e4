"""The OpenAPI 3.1 document, made of the signature, so that clients can be generated from it."""

from typing import Any

import msgspec

from serving.fields import number_range
from serving.limits import ROW_BYTES
from serving.responses import Decision, Error, Info, Value
from serving.settings import Settings
from serving.signature import Field, Signature
from serving.times import MAX_EPOCH, PATTERN

_ERRORS = {
    "400": "The body is not JSON in UTF-8, or has a key twice.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The content type is not JSON, or the body has a content encoding.",
    "422": "A row does not fit the signature (each invalid field is named), or has no finite prediction.",
    "503": "Too many bodies at once, the body was not processed in time, or the service is shutting down; nothing was "
    "logged. Send it again.",
}
_ID = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}
_COMPONENT = "#/components/schemas/{name}"
# No `format`: validators would refuse a date, or a time without a zone.
_TIME = {
    "type": "string",
    "pattern": f"^{PATTERN}$",
    "description": "a date, or a date and a time as in RFC 3339; without a zone it is UTC",
}
_EPOCH = {
    "type": "number",
    "minimum": 1 - MAX_EPOCH,
    "exclusiveMaximum": MAX_EPOCH,
    "description": "seconds since 1970",
}
_PREPARED = {"x-prepared": True, "description": "computed by the client, as features/prepare.py does"}
_MISSING = {"enum": [None, ""], "description": "missing"}


def document(signature: Signature, settings: Settings) -> dict[str, Any]:
    """Return the document of a service."""
    release = settings.release
    row, prediction = ({"$ref": _COMPONENT.format(name=name)} for name in ("Row", "Prediction"))
    rows = {"type": "array", "items": row, "maxItems": release.max_batch_rows}
    batch_summary = "Score rows; an invalid one refuses all. Predictions are in the order of the rows."
    info = {
        "operationId": "info",
        "summary": "What is served.",
        "responses": {"200": _response("The release.", {"$ref": _COMPONENT.format(name="Info")})},
    }
    error = {"$ref": _COMPONENT.format(name="Error")}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{signature.model_name}: predictions of {signature.target}",
            "version": release.release,
            "description": f"A row has at most {ROW_BYTES // 1024} KB, a batch {release.max_body_mb:g} MB; each must "
            f"arrive within {release.timeout_seconds:g} s.",
        },
        "servers": [{"url": "/"}],
        "paths": {
            "/predict": {"post": _post("predict", "Score one row.", row, prediction)},
            "/predict_batch": {
                "post": _post("predict_batch", batch_summary, rows, {"type": "array", "items": prediction})
            },
            "/info": {"get": info},
        },
        "components": {
            "schemas": _schemas(signature),
            "responses": {status: _response(description, error) for status, description in _ERRORS.items()},
        },
    }


def _post(operation: str, summary: str, request: Any, response: Any) -> dict[str, Any]:
    header = {
        "name": "X-Request-Id",
        "in": "header",
        "required": False,
        "description": "An id of the request, by which labels can be joined to it. Use one once, or again for a retry. "
        "One that has not the form of the response's header is ignored, and a random one used.",
        "schema": {"type": "string"},
    }
    return {
        "operationId": operation,
        "summary": summary,
        "parameters": [header],
        "requestBody": {"required": True, "content": {"application/json": {"schema": request}}},
        "responses": {
            "200": _response("The prediction.", response),
            **{status: {"$ref": f"#/components/responses/{status}"} for status in _ERRORS},
        },
    }


def _response(description: str, schema: Any) -> dict[str, Any]:
    headers = {"X-Request-Id": {"description": "The id of the request.", "schema": _ID}}
    return {"description": description, "headers": headers, "content": {"application/json": {"schema": schema}}}


def _schemas(signature: Signature) -> dict[str, Any]:
    prediction = Value if signature.threshold is None else Decision
    _, schemas = msgspec.json.schema_components((prediction, Info, Error), ref_template=_COMPONENT)
    schemas["Prediction"] = schemas.pop(prediction.__name__)
    if signature.classes:
        schemas["Prediction"]["properties"]["probability"]["description"] = f"of class {signature.classes[-1]}"
    row: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: field_schema(field) for field in signature.inputs},
        "required": [field.name for field in signature.inputs if not field.nullable],
        "additionalProperties": False,
    }
    if signature.example:
        row["examples"] = [signature.example]
    return {"Row": row, **schemas}


def field_schema(field: Field) -> dict[str, Any]:
    """Return the JSON schema of a field's values."""
    alternatives = _present_schemas(field) + ([_MISSING] if field.nullable else [])
    schema = alternatives[0] if len(alternatives) == 1 else {"anyOf": alternatives}
    return {**schema, **_PREPARED} if field.prepared else schema


def _present_schemas(field: Field) -> list[dict[str, Any]]:
    if field.type == "boolean":
        return [{"type": "boolean"}, {"enum": [0, 1]}]
    if field.type == "timestamp":
        return [_TIME, _EPOCH]
    if field.type == "category":
        if field.allowed is not None:
            return [{"type": "string", "enum": list(field.allowed)}]
        return [{"type": "string", "minLength": 1, "pattern": "^[^\\u0000]+$"}]
    minimum, maximum = map(_without_fraction, number_range(field))
    return [{"type": field.type, "minimum": minimum, "maximum": maximum}]


def _without_fraction(limit: float) -> float | int:
    return int(limit) if abs(limit) <= 2**53 and float(limit).is_integer() else limit
