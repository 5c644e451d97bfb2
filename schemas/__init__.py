"""The written contract: an Avro schema per version of an event or message, and the list of them.

Data only. ``python -m events.generate`` writes it; see README.md.
"""

import json
from importlib.resources import files
from typing import Any, Final, TypedDict

PUBLISHED: Final = "published.json"


class Published(TypedDict):
    """One row of the lock: a schema version, and the id it has for good."""

    id: int
    name: str
    kind: str
    version: int
    fingerprint: str


def file_name(name: str, version: int) -> str:
    """The file of a schema version."""
    return f"{name}.v{version}.avsc"


def published() -> list[Published]:
    """Every schema version there ever was, by id."""
    text = files(__name__).joinpath(PUBLISHED).read_text("utf-8")
    rows: list[Published] = json.loads(text)["schemas"]
    return rows


def schema(name: str, version: int) -> Any:
    """A schema version as JSON."""
    return json.loads(files(__name__).joinpath(file_name(name, version)).read_text("utf-8"))
