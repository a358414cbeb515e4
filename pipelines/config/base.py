"""The types that all sections of params.yaml are made of."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import CoreSchema

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]


Check = TypeVar("Check", bound=Callable[[Any], Iterator[str]])


def cross_check(method: Check) -> Check:
    """Mark a method of a section that yields what is wrong between its keys, one message for each error."""
    method.__dict__["is_cross_check"] = True
    return method


class Strict(BaseModel):
    """Frozen, without type coercion; unknown keys are refused.

    What a docstring says under `Attributes:` is shown by editors and in docs/params.md.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="after")
    def _passes_cross_checks(self) -> Self:
        methods = [method for base in reversed(type(self).__mro__) for method in vars(base).values()]
        checks = [method for method in methods if getattr(method, "is_cross_check", False)]
        if messages := [message for check in checks for message in check(self)]:
            raise ValueError("\n".join(messages))  # pipelines/config/read.py makes an error of each line
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Return the JSON schema of the class, in which each key has what it means."""
        schema = handler(core_schema)
        body = handler.resolve_ref_schema(schema)
        body["description"] = inspect.cleandoc(cls.__doc__ or "").partition("\n\nAttributes:")[0]
        for name, meaning in _meanings(cls).items():
            body["properties"][cls.model_fields[name].alias or name]["description"] = meaning
        return schema


def _meanings(cls: type[BaseModel]) -> dict[str, str]:
    """What the docstrings of a class and its bases say about each key."""
    meanings: dict[str, str] = {}
    for base in (base for base in reversed(cls.__mro__) if issubclass(base, Strict)):
        attributes = inspect.cleandoc(base.__doc__ or "").partition("\n\nAttributes:\n")[2]
        for names, meaning in re.findall(r"^    (\w[\w, ]*): ((?:.*\n?)(?:^     +.*\n?)*)", attributes, re.MULTILINE):
            meanings |= dict.fromkeys(names.split(", "), " ".join(meaning.split()))
    return meanings
