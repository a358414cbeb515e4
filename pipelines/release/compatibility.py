"""The contract of the service (its signature without the example), and whether a new contract breaks clients."""

import json

from pipelines.model.signature import Input, Signature


def format_contract(signature: Signature) -> str:
    """Return the contract as a version's tag holds it: the signature's JSON without its example."""
    document = {key: value for key, value in signature.to_json().items() if key != "example"}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def find_breaking_change(old: str | None, new: str | None) -> str | None:
    """Return why a client of the old contract fails with the new one, or None.

    A client sends the same requests as before and reads the same responses. Breaking changes are: another task, output
    or classes; a removed field (the service rejects unknown fields); a new required field; a field that accepts less
    than before. A contract that cannot be read counts as breaking.
    """
    try:
        before, after = (Signature.from_json({"example": {}, **json.loads(text or "")}) for text in (old, new))
    except (ValueError, TypeError, KeyError):
        return "the contract cannot be read"
    if (before.task, before.output, before.classes) != (after.task, after.output, after.classes):
        return "task, output or classes changed"
    if removed := [name for name in before.names if name not in after.names]:
        return f"{', '.join(removed)} is rejected now"
    old_inputs = {field.name: field for field in before.inputs}
    for field in after.inputs:
        if reason := _find_narrowing(old_inputs.get(field.name), field):
            return f"{field.name} {reason}"
    return None


def _find_narrowing(old: Input | None, new: Input) -> str | None:
    """Return why a field accepts less than before, or None. A request without a new field counts as before."""
    if old is None:
        return None if new.nullable else "is required now"
    if old.type != new.type and (old.type, new.type) != ("integer", "number"):
        return f"changed its type from {old.type} to {new.type}"
    if old.nullable and not new.nullable:
        return "is required now"
    if new.min is not None and (old.min is None or old.min < new.min):
        return f"must be at least {new.min:g} now"
    if new.max is not None and (old.max is None or old.max > new.max):
        return f"must be at most {new.max:g} now"
    if new.allowed is not None and (old.allowed is None or set(old.allowed) - set(new.allowed)):
        return "allows fewer values now"
    return None
