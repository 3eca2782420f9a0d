"""docs/events.md, written from the topics themselves: `python -m rayces_core.outbox.describing > docs/events.md`."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import BaseModel

from rayces_core.outbox.topics import TOPICS

HEAD = """# Events

What the library tells outside, topic by topic. This page is generated from the code; a test fails where it is not
current.

Every event, booking, move and posting writes one message in the statement that makes it happen: nothing is told of what
was undone, and nothing is told twice, since a repetition with an idempotency key makes nothing happen. Imports of
history write no messages. [outbox.md](outbox.md) has how they are delivered; a message's payload is plain JSON:

```python
def tell(message):
    change = message.parsed()  # in the shape below
    print(message.topic, message.message_id, change.scheduled_at)
```

Within a version, names are added and never changed or removed. Ids are those of the message's organization. Moments are
ISO 8601 with an offset. No names, addresses or notes are in a payload: read them when it is delivered.

A host writes messages of its own, in the unit of work of what they tell of:

```python
from rayces_core import outbox

with db.atomic():
    appointment.confirm(by=staff)
    outbox.put("room.reserved", {"room": 3}, subject=appointment)
```

`Database.connect(url, outbox=False)` writes none of these: for programs of a host that relays nothing. The requests of
`sign_in` are written all the same, since nothing else leads to the link.
"""


def describe() -> str:
    """The page."""
    shapes: dict[type[BaseModel], list[str]] = {}
    for (topic, version), shape in sorted(TOPICS.items(), key=lambda item: item[0]):
        shapes.setdefault(shape, []).append(f"`{topic}`" + (f" (version {version})" if version > 1 else ""))
    return HEAD + "".join(_section(shape, topics) for shape, topics in shapes.items())


def _section(shape: type[BaseModel], topics: list[str]) -> str:
    rows = "".join(f"| `{name}` | {_type(field.annotation)} |\n" for name, field in shape.model_fields.items())
    said = " ".join((shape.__doc__ or "").split())
    head = f"\n## {shape.__name__}, version 1\n\n{said}\n\nTopics: {', '.join(topics)}\n\n"
    return f"{head}| name | type |\n| --- | --- |\n{rows}"


def _type(annotation: Any) -> str:
    names = {"int": "number", "str": "text", "bool": "true or false", "datetime": "moment", "date": "day"}
    if options := [each for each in get_args(annotation) if each is not type(None)]:
        return f"{_type(options[0])}, or null"
    name: str = annotation.__name__
    return names.get(name, name)


if __name__ == "__main__":
    print(describe(), end="")
