"""A piece of reference data before it is published."""

from typing import Final, NamedTuple

from events.reference import Reference

#: The id of an entry of which there is one for all.
STANDARD: Final = "standard"


class Entry(NamedTuple):
    """One piece of reference data before it has a version."""

    kind: str
    ref_id: str
    content: Reference
