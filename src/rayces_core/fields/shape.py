"""What the schemas of the jsonb columns are made of: their base, texts and times of day."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    SerializerFunctionWrapHandler,
    StringConstraints,
    model_serializer,
)

TIME_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")


class Shape(BaseModel):
    """Base of the schemas: frozen, no unknown keys; keys without a value are left out of the JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, revalidate_instances="always")

    @model_serializer(mode="wrap")
    def _stored(self, plain: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {key: value for key, value in plain(self).items() if value not in (None, [], ())}


def short_text(longest: int) -> Any:
    """A text of so many characters at most, without blanks around it, and not empty."""
    return StringConstraints(strip_whitespace=True, min_length=1, max_length=longest)


def time_text(value: object) -> object:
    """A `time` of whole minutes as "09:30"; anything else as it is."""
    whole_minutes = isinstance(value, time) and value == time(value.hour, value.minute)
    return value.isoformat("minutes") if isinstance(value, time) and whole_minutes else value


def time_of_day(value: str) -> str:
    """The text itself; ValueError where it is no time of day."""
    if not TIME_OF_DAY.fullmatch(value):
        raise ValueError('must be a time of day such as "09:30"')
    return value


TimeOfDay = Annotated[str, BeforeValidator(time_text), AfterValidator(time_of_day)]
