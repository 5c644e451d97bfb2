"""A projection made anew beside the old one, compared, and swapped in by name.

Rebuilding is normal: whenever the code that makes rows changes (its ``VERSION`` says so), or somebody doubts them.
Until the swap people read the old build. Killed on the way, the unfinished build is dropped at the next try.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from events.errors import Broken
from projections.digest import Figures
from projections.port import Place, Position, Positions, Projection, Rows
from projections.projector import Projector, Reader
from projections.store import SqlStore


class Difference(NamedTuple):
    """A table in which the new build is not the old one."""

    table: str
    old: Figures | None
    new: Figures | None


class Rebuilt(NamedTuple):
    """What a rebuild came to."""

    projection: str
    build: int
    events: int
    differences: list[Difference]


def rebuild(
    store: SqlStore,
    reader: Reader,
    partitions: int,
    projection: Projection,
    progress: Callable[[int], None] | None = None,
) -> Rebuilt:
    """Build from position 0 up to the end of the log, compare and swap.

    Code of the same version must give the same rows: Broken where it does not, and the old build stays live. Code of
    another version may differ; then the differences are told and the new build is live.
    """
    version, live = store.live_build(projection)
    for leftover in store.unfinished_builds(projection):
        store.drop_build(projection, leftover)
    same_code = version == projection.VERSION
    if same_code:
        # First to the end of the log, so that both builds have read the same.
        Projector(reader, store, partitions, (projection,)).catch_up()
    build = store.next_build(projection)
    store.create_build(projection, build)
    events = Projector(reader, _Beside(store, build), partitions, (projection,)).catch_up(progress)
    differences = _compare(store, projection, live, build, whole=same_code)
    if same_code and differences:
        store.drop_build(projection, build)
        wrong = ", ".join(difference.table for difference in differences)
        raise Broken(
            f"the projection {projection.NAME!r} built anew has other content in {wrong}: the old one stays live."
            " Either the store was altered, or the same code gives other rows; `tallystick replay --verify` tells"
            " whether the log is whole"
        )
    store.swap(projection, build)
    return Rebuilt(projection.NAME, build, events, differences)


def _compare(store: SqlStore, projection: Projection, old: int, new: int, *, whole: bool) -> list[Difference]:
    new_figures = store.figures(projection, new, whole=whole)
    old_figures = store.figures(projection, old, whole=whole)
    return [
        Difference(name, old_figures.get(name), new_figures.get(name))
        for name in sorted(old_figures.keys() | new_figures.keys())
        if old_figures.get(name) != new_figures.get(name)
    ]


class _Beside:
    """A store as a projector sees it that fills a build nobody reads yet."""

    def __init__(self, store: SqlStore, build: int) -> None:
        self._store = store
        self._build = build

    def positions(self, projection: Projection) -> dict[Place, Position]:
        return self._store.positions(projection, self._build)

    def commit(
        self, changes: Iterable[tuple[Projection, Iterable[Rows]]], positions: Positions, as_of: int
    ) -> None:
        self._store.commit(list(changes), positions, as_of, build=self._build)

    def bind_log(self, identity: str) -> None:
        self._store.bind_log(identity)
