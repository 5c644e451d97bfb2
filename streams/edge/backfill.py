"""A foreign history through velocity: the features that every authorization of a file would have had.

The code that measures is :mod:`streams.features.velocity`, one row after the other; the order of the rows is the
order of the log. Every value is exact: how late rows come and how long ids must be known is looked up in the file
first, so nothing is forgotten too early, and memory follows the widest window and not the length of the file.

Columns: ``event_id``, ``kind`` (``authorization`` or ``label``), ``event_time`` (a timestamp, or microseconds),
``card``, ``ip``, ``device``, ``email``, ``merchant``, ``amount_minor``. Names may be text or whole numbers; a
name that is null or empty is no key: nothing is counted under it and its features are 0. Other columns are left
alone.

A label says that the authorization with its ``event_id`` was fraud. It counts for rows behind it, in the windows
that the authorization lies in; of its own columns only ``event_id`` and ``event_time`` are read. A repeated label
counts once, one that stands before its authorization counts from the authorization on, one for an id that is
nowhere in the file counts nothing; all three are told. So is every further delivery of an authorization, which
changes nothing, whatever it claims.
"""

import tempfile
from array import array
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from sys import intern
from typing import Any, Final, NamedTuple

import duckdb
import numpy as np

from events.calendar import HOUR
from events.errors import Refused, Unavailable, ValidationError, WireError
from streams.features import velocity
from streams.features.velocity import Mark, Plan, columns, plan_of

BATCH: Final = 10_000
"""Rows read and written at once. Nothing depends on it but speed."""

MEMORY: Final = "512MB"
"""What the database may hold beside our state; the rest goes to its scratch folder."""

NAMES: Final = ("card", "ip", "device", "email", "merchant")
COLUMNS: Final = ("event_id", "kind", "event_time", *NAMES, "amount_minor")

_WHOLE: Final = frozenset(
    "TINYINT SMALLINT INTEGER BIGINT HUGEINT UTINYINT USMALLINT UINTEGER UBIGINT UHUGEINT".split()
)
_TIMES: Final = frozenset(
    ["TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP WITH TIME ZONE"]
)
#: From year 1 to year 9999, as everywhere in the house.
_EARLIEST_AT: Final = -62_135_596_800_000_000
_LATEST_AT: Final = 253_402_300_800_000_000
_MOST: Final = 2**63 - 1
_WHOLE_FLOATS: Final = 2**53


class Backfilled(NamedTuple):
    """What a history came to. How far behind the newest authorization one came (``lateness``), and one was repeated
    or waited for its label (``remembered``), is in microseconds."""

    rows: int
    authorizations: int
    repeats: int
    labels: int
    labels_repeated: int
    labels_early: int
    labels_unknown: int
    lateness: int
    remembered: int
    approximate: int = 0


def backfill(
    source: Path,
    windows: str,
    out: Path,
    *,
    hot: int = 0,
    batch: int = BATCH,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Backfilled:
    """Write the features of ``source`` to ``out`` (Parquet, or CSV by its name), a row for each authorization.

    ``hot`` is the number of events from which a key goes into one-hour tiles beyond 24 hours, 0 for never.
    ``progress`` hears rows done and rows in all. Refused, ValidationError or WireError where the file is not one
    of these; the output appears whole or not at all.
    """
    plan = plan_of(windows, hot=hot, full=False, declines=False)
    if not source.is_file():
        raise Unavailable(f"{source} is not a file that can be read")
    if out.suffix.lower() not in _WRITTEN:
        raise Refused(f"{out.name}: features are written to {' or '.join(_WRITTEN)}")
    if out.exists() and out.samefile(source):
        raise Refused(f"{out} is the history itself: name another file for the features")
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".tallystick-features-", dir=out.parent)
    except OSError as error:
        raise Unavailable(f"{out} cannot be written: {error.strerror}") from error
    with scratch as folder, _database(folder) as database:
        id_type = _load(database, source)
        _check(database, source.name)
        found = _look_ahead(database)
        plan = plan_of(
            windows, lateness=found.lateness, remembered=found.remembered, hot=hot, full=False, declines=False
        )
        approximate = _measure(database, plan, batch, lambda done: progress(done, found.rows))
        made = Path(folder) / out.name
        _write(database, id_type, made, out)
    return found._replace(approximate=approximate)


@contextmanager
def _database(folder: str) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect(str(Path(folder) / "history.duckdb"))) as database:
        # One thread reads a file in its order and needs the least memory; measuring is what takes the time.
        for setting in ("threads = 1", f"memory_limit = '{MEMORY}'", "TimeZone = 'UTC'"):
            database.execute(f"SET {setting}")
        database.execute("SET autoinstall_known_extensions = false")
        yield database


# --- the file into the database -------------------------------------------------------------------------


def _load(database: duckdb.DuckDBPyConnection, source: Path) -> str:
    """Make the table ``history`` in the order of the file; the type of its event ids."""
    suffix = source.suffix.lower()
    if suffix in (".parquet", ".pq"):
        scan = "read_parquet(?)"
    elif suffix == ".csv":
        scan = "read_csv(?, header = true, all_varchar = true)"
    else:
        raise Refused(f"{source.name}: a history is a .parquet or a .csv file")
    try:
        types = _types(database, scan, source)
        if suffix == ".csv":
            # Names are text as they stand: read as numbers, 007 and 7 would be one card.
            text = ", ".join(f"'{name}': 'VARCHAR'" for name in ("event_id", "kind", *NAMES))
            scan = f"read_csv(?, header = true, types = {{{text}}})"
            types = _types(database, scan, source)
        _check_types(source.name, types)
        names = ", ".join(f"coalesce(CAST({name} AS VARCHAR), '') AS {name}" for name in NAMES)
        database.execute(
            f"""
            CREATE TABLE history AS SELECT
                CAST(event_id AS VARCHAR) AS event_id,
                CAST(kind AS VARCHAR) AS kind,
                {_instant(types["event_time"])} AS event_time,
                {names},
                {_amount(types["amount_minor"])} AS amount_minor
            FROM {scan}
            """,  # noqa: S608 - our own names and expressions
            [str(source)],
        )
    except duckdb.Error as error:
        raise WireError(f"{source.name} cannot be read: {_first_line(error)}") from error
    return types["event_id"]


def _types(database: duckdb.DuckDBPyConnection, scan: str, source: Path) -> dict[str, str]:
    described = database.execute(f"DESCRIBE SELECT * FROM {scan}", [str(source)]).fetchall()  # noqa: S608
    types = {str(name): str(kind) for name, kind, *_ in described}
    missing = [name for name in COLUMNS if name not in types]
    if missing:
        raise Refused(f"{source.name} has no column {', '.join(missing)}; a history has {', '.join(COLUMNS)}")
    return types


def _check_types(name: str, types: dict[str, str]) -> None:
    for column in COLUMNS:
        kind = types[column]
        # A column without any value has no type to speak of.
        plain = kind in ("VARCHAR", "UUID", '"NULL"') or kind.startswith("ENUM")
        if column == "event_time":
            good, wanted = kind in _TIMES or kind in _WHOLE, "a timestamp or microseconds"
        elif column == "amount_minor":
            good, wanted = kind in _WHOLE or kind == "DOUBLE" or kind.endswith(",0)"), "whole minor units"
        elif column == "kind":
            good, wanted = plain, "text"
        else:
            good, wanted = plain or kind in _WHOLE, "text or whole numbers"
        if not good:
            raise Refused(f"{name}: the column {column} is {kind}, and has to be {wanted}")


def _instant(kind: str) -> str:
    if kind in _WHOLE:
        return "TRY_CAST(event_time AS BIGINT)"
    return (
        "CASE WHEN isfinite(CAST(event_time AS TIMESTAMP)) THEN epoch_us(CAST(event_time AS TIMESTAMP)) END"
    )


def _amount(kind: str) -> str:
    """An amount, null where it is no whole number: a float column is what a null here and there makes of integers."""
    if kind != "DOUBLE":
        return "TRY_CAST(amount_minor AS BIGINT)"
    whole = f"amount_minor = trunc(amount_minor) AND abs(amount_minor) < {_WHOLE_FLOATS}"
    return f"CASE WHEN {whole} THEN CAST(amount_minor AS BIGINT) END"


#: What is wrong with a row; the first that is true is told.
_FAULTS: Final = (
    ("event_id", "coalesce(event_id, '') = ''", "is empty"),
    ("kind", "kind IS NULL OR kind NOT IN ('authorization', 'label')", "is neither authorization nor label"),
    (
        "event_time",
        f"event_time IS NULL OR event_time NOT BETWEEN {_EARLIEST_AT} AND {_LATEST_AT - 1}",
        "is empty or not a time between the years 1 and 9999",
    ),
    (
        "amount_minor",
        "kind = 'authorization' AND amount_minor IS NULL",
        "is empty or not a whole number of 64 bits",
    ),
)


def _check(database: duckdb.DuckDBPyConnection, name: str) -> None:
    for column, condition, reason in _FAULTS:
        count, first = _one(database, f"SELECT count(*), min(rowid) FROM history WHERE {condition}")  # noqa: S608
        if count:
            more = f" (and in {count - 1:,} more)" if count > 1 else ""
            raise ValidationError(column, f"in row {first + 1:,} of {name}{more} it {reason}")
    (total,) = _one(database, "SELECT coalesce(sum(abs(amount_minor::HUGEINT)), 0) FROM history")
    if total > _MOST:
        raise ValidationError("amount_minor", f"the amounts of {name} add up to more than 64 bits hold")


def _look_ahead(database: duckdb.DuckDBPyConnection) -> Backfilled:
    """What the file holds, and how far back its rows reach."""
    found = _one(
        database,
        """
        WITH placed AS (
            SELECT rowid AS place, event_id, kind = 'label' AS label, event_time AS moment,
                max(CASE kind WHEN 'authorization' THEN event_time END)
                    OVER (ORDER BY rowid ROWS UNBOUNDED PRECEDING) AS newest
            FROM history
        ), ids AS (
            SELECT
                count(*) AS rows,
                count(*) FILTER (NOT label) AS deliveries,
                min(place) FILTER (NOT label) AS delivered,
                min(place) FILTER (label) AS labelled,
                arg_min(newest - moment, place) FILTER (NOT label) AS late,
                max(newest) FILTER (NOT label) - arg_min(moment, place) FILTER (NOT label) AS repeated,
                arg_min(newest, place) FILTER (NOT label)
                    - arg_min(greatest(moment, newest), place) FILTER (label) AS waited
            FROM placed GROUP BY event_id
        )
        SELECT
            coalesce(sum(rows), 0),
            count(delivered),
            coalesce(sum(deliveries), 0) - count(delivered),
            coalesce(sum(rows - deliveries), 0),
            coalesce(sum(rows - deliveries), 0) - count(labelled),
            count(*) FILTER (labelled < delivered),
            count(*) FILTER (delivered IS NULL),
            coalesce(max(late), 0),
            coalesce(max(greatest(repeated, CASE WHEN labelled < delivered THEN waited END, 0)), 0)
        FROM ids
        """,
    )
    return Backfilled(*map(int, found))


# --- measuring ------------------------------------------------------------------------------------------


def _measure(
    database: duckdb.DuckDBPyConnection, plan: Plan, batch: int, progress: Callable[[int], None]
) -> int:
    """Make the table ``features``; how many of its rows are approximate."""
    state = velocity.initial(plan)
    names = columns(plan)
    database.execute(
        f"CREATE TABLE features (event_id VARCHAR, {', '.join(f'{name} BIGINT' for name in names)})"
    )
    approximate, done, hour = 0, 0, None
    with closing(database.cursor()) as reading:
        reading.execute(
            f"SELECT event_id, kind = 'label', event_time, {', '.join(NAMES)}, amount_minor FROM history"  # noqa: S608
        )
        while rows := reading.fetchmany(batch):
            ids: list[str] = []
            values = array("q")
            for event_id, label, at, card, ip, device, email, merchant, amount in rows:
                if label:
                    velocity.mark(state, event_id, Mark.FRAUD, at)
                    continue
                # One object for each name: the state refers to them often.
                found = velocity.observe(
                    state,
                    event_id,
                    at,
                    intern(card),
                    intern(ip),
                    intern(device),
                    intern(email),
                    intern(merchant),
                    amount,
                )
                if found is None:
                    continue
                ids.append(event_id)
                values.extend(found.values)
                approximate += found.approximate != 0
                if state.newest // HOUR != hour:
                    hour = state.newest // HOUR
                    for stale in velocity.stale_hours(state, state.newest):
                        velocity.forget(state, stale)
            _append(database, names, ids, values)
            done += len(rows)
            progress(done)
    return approximate


def _append(
    database: duckdb.DuckDBPyConnection, names: list[str], ids: list[str], values: "array[int]"
) -> None:
    if not ids:
        return
    table = np.ascontiguousarray(np.frombuffer(values, np.int64).reshape(len(ids), len(names)).T)
    given: dict[str, Any] = {"event_id": np.array(ids, dtype=object)}
    given.update(zip(names, table, strict=True))
    database.register("incoming_rows", given)
    try:
        database.execute("INSERT INTO features SELECT * FROM incoming_rows")
    finally:
        database.unregister("incoming_rows")


_WRITTEN: Final = {".parquet": "FORMAT parquet", ".csv": "FORMAT csv, HEADER"}


def _write(database: duckdb.DuckDBPyConnection, id_type: str, made: Path, out: Path) -> None:
    """Copy the features to a file, ids in the type they came in, and put it in its place."""
    target = str(made).replace("'", "''")
    ids = f"CAST(event_id AS {id_type})" if id_type in _WHOLE else "event_id"
    try:
        database.execute(
            f"COPY (SELECT {ids} AS event_id, * EXCLUDE (event_id) FROM features)"  # noqa: S608
            f" TO '{target}' ({_WRITTEN[out.suffix.lower()]})"
        )
        made.replace(out)
    except (duckdb.IOException, OSError) as error:
        raise Unavailable(f"{out} cannot be written: {_first_line(error)}") from error


def _one(database: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = database.execute(query).fetchone()
    assert row is not None
    return row


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]
