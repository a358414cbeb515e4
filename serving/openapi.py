"""The OpenAPI 3.1 document: exactly the signature, so that clients can be generated from it."""

from __future__ import annotations

from typing import Any

from serving.fields import limits
from serving.settings import Settings
from serving.signature import Field, Signature
from serving.times import MAX_EPOCH, PATTERN

_ERRORS = {
    "400": "The body is not JSON, has a key twice, or a header about it comes twice.",
    "408": "The body did not come in time.",
    "413": "The body is too large.",
    "415": "The body is not JSON in UTF-8.",
    "422": "A row does not fit the signature, each field at fault being named, or has no finite prediction.",
    "503": "There is no room for the body now, it was not worked through in time, or the service ends; nothing was "
    "logged. Send it again.",
}
_ID = {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"}


def document(signature: Signature, settings: Settings) -> dict[str, Any]:
    """The document of a service."""
    release = settings.release
    row = {"$ref": "#/components/schemas/Row"}
    answer = {"$ref": "#/components/schemas/Prediction"}
    rows = {"type": "array", "items": row, "maxItems": release.max_batch_rows}
    paths = {
        "/predict": {"post": _post("predict", "Score one row.", row, answer)},
        "/predict_batch": {
            "post": _post(
                "predict_batch",
                "Score rows; one that does not fit refuses them all. Answers stand in the order of the rows.",
                rows,
                {"type": "array", "items": answer},
            )
        },
        "/info": {
            "get": {
                "operationId": "info",
                "summary": "What answers here.",
                "responses": {"200": _json("The release.", {"$ref": "#/components/schemas/Info"})},
            }
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{signature.line}: predictions of {signature.target}",
            "version": release.release,
            "description": f"A body has at most {release.max_body_mb:g} MB, and {release.timeout_seconds:g} s to come.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": {
                "Row": _row(signature),
                "Prediction": _prediction(signature),
                "Info": _INFO,
                "Error": _ERROR,
            },
            "responses": {
                status: _json(what, {"$ref": "#/components/schemas/Error"}) for status, what in _ERRORS.items()
            },
        },
    }


def _post(name: str, summary: str, takes: Any, gives: Any) -> dict[str, Any]:
    header = {
        "name": "X-Request-Id",
        "in": "header",
        "required": False,
        "description": "A name for the request, to which a label can be joined: use one once, or for a retry. One that "
        "is not of the form of the answer's header is ignored, and another one made.",
        "schema": {"type": "string"},
    }
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [header],
        "requestBody": {"required": True, "content": {"application/json": {"schema": takes}}},
        "responses": {
            "200": _json("The prediction.", gives),
            **{status: {"$ref": f"#/components/responses/{status}"} for status in _ERRORS},
        },
    }


def _json(what: str, schema: Any) -> dict[str, Any]:
    named = {"X-Request-Id": {"description": "The name of the request.", "schema": _ID}}
    return {"description": what, "headers": named, "content": {"application/json": {"schema": schema}}}


def _row(signature: Signature) -> dict[str, Any]:
    row: dict[str, Any] = {
        "type": "object",
        "properties": {field.name: field_schema(field) for field in signature.fields},
        "required": [field.name for field in signature.fields if not field.nullable],
        "additionalProperties": False,
    }
    if signature.example:
        row["examples"] = [dict(signature.example)]
    return row


def field_schema(field: Field) -> dict[str, Any]:
    """The JSON schema of a field's values."""
    schema = _present(field)
    if not field.nullable:
        return schema
    if "anyOf" in schema:
        return {**schema, "anyOf": [*schema["anyOf"], _MISSING]}
    return {"anyOf": [schema, _MISSING]}


# No format: those who check one would refuse a date, or a time without a zone.
_TIME = {
    "type": "string",
    "pattern": f"^{PATTERN}$",
    "description": "a date, or a date and a time as in RFC 3339; without a zone it is UTC",
}
_MISSING = {"enum": [None, ""], "description": "missing"}


def _present(field: Field) -> dict[str, Any]:
    if field.type == "boolean":
        return {"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}]}
    if field.type == "timestamp":
        number = {"type": "number", "minimum": 1 - MAX_EPOCH, "exclusiveMaximum": MAX_EPOCH}
        return {"anyOf": [_TIME, {**number, "description": "seconds since 1970"}]}
    if field.type == "category":
        if field.allowed is not None:
            return {"type": "string", "enum": list(field.allowed)}
        return {"type": "string", "minLength": 1, "pattern": "^[^\\u0000]+$"}
    low, high = limits(field)
    return {"type": field.type, "minimum": _whole(low), "maximum": _whole(high)}


def _whole(limit: float) -> float | int:
    return int(limit) if abs(limit) <= 2**53 and float(limit).is_integer() else limit


def _prediction(signature: Signature) -> dict[str, Any]:
    name = {"type": "string", "description": "the name of the request; in a batch, followed by / and the row's number"}
    named = {"release": {"type": "string"}, "request_id": name}
    properties: dict[str, Any]
    if signature.threshold is None:
        properties = {"value": {"type": "number"}, **named}
    else:
        positive = signature.classes[-1]
        properties = {
            "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": f"of class {positive}"},
            "decision": {"type": "boolean", "description": "whether the probability reaches the threshold"},
            "threshold": {"type": "number"},
            **named,
        }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


_INFO = {
    "type": "object",
    "properties": {
        "release": {"type": "string"},
        "version": {"type": ["string", "null"]},
        "model": {"type": "string", "description": "MD5 of model.onnx"},
        "signature": {"type": "object"},
    },
    "required": ["release", "version", "model", "signature"],
    "additionalProperties": False,
}
_ERROR = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "what is wrong, for people"},
        "request_id": {"type": "string"},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "row": {"type": "integer", "minimum": 0, "description": "in a batch, counted from 0"},
                    "field": {"type": "string"},
                    "reason": {"type": "string"},
                },
                "required": ["field", "reason"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["error", "request_id", "fields"],
    "additionalProperties": False,
}
