"""The table of all projections. A row here is all that a new one needs beside its file.

The order matters to views alone: a view may read what stands above it.
"""

from typing import Final

from projections import (
    audit,
    clearing,
    clusters,
    disputes,
    hotlist,
    identity,
    learning,
    ledger,
    merchants,
    monitoring,
    payments,
    places,
    reconciliation,
    review,
    risk,
    settings,
)
from projections.port import Projection

CATALOG: Final[tuple[Projection, ...]] = (
    audit,
    ledger,
    disputes,
    merchants,
    settings,
    payments,
    risk,
    identity,
    clusters,
    learning,
    hotlist,
    review,
    clearing,
    reconciliation,
    places,
    monitoring,
)


def by_name(name: str) -> Projection | None:
    """The projection of this name."""
    return next((projection for projection in CATALOG if projection.NAME == name), None)
