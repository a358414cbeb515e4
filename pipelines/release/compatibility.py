"""What a model's signature promises its callers, and whether a new one keeps it."""

from __future__ import annotations

import json

from pipelines.model.signature import Input, Signature


def text(signature: Signature) -> str:
    """The contract as a version's tag holds it: the signature's JSON, without the example that nobody promised."""
    document = {key: value for key, value in signature.to_json().items() if key != "example"}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def breaks(old: str | None, new: str | None) -> str | None:
    """Why a client of the old contract would fail with the new one, or None.

    A client sends yesterday's requests, and reads yesterday's answers. So what breaks is: another task, output or
    classes; a field that is gone (the service refuses fields it does not know); a new field that must be given; a field
    that takes less than it did. So does a contract that cannot be read.
    """
    try:
        return _breaks(*(Signature.from_json({"example": {}, **json.loads(each or "")}) for each in (old, new)))
    except (ValueError, TypeError, KeyError):
        return "it cannot be read"


def _breaks(old: Signature, new: Signature) -> str | None:
    if (old.task, old.output, old.classes) != (new.task, new.output, new.classes):
        return "it answers something else"
    known = {item.name: item for item in old.inputs}
    taken = {item.name: item for item in new.inputs}
    if gone := [name for name in known if name not in taken]:
        return f"{', '.join(gone)} is refused now"
    for item in new.inputs:
        before = known.get(item.name)
        if before is None:
            if not item.nullable:
                return f"{item.name} must be given now"
        elif why := _narrower(before, item):
            return f"{item.name} {why}"
    return None


def _narrower(old: Input, new: Input) -> str | None:
    if old.type != new.type and (old.type, new.type) != ("integer", "number"):
        return f"was of type {old.type} and is of type {new.type}"
    if old.nullable and not new.nullable:
        return "must be given now"
    if new.min is not None and (old.min is None or old.min < new.min):
        return f"must be at least {new.min:g} now"
    if new.max is not None and (old.max is None or old.max > new.max):
        return f"must be at most {new.max:g} now"
    if new.allowed is not None and (old.allowed is None or set(old.allowed) - set(new.allowed)):
        return "takes fewer values now"
    return None
