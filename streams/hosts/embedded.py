"""The log in one SQLite file: one process writes, any number may read, nothing needs to be installed.

Every commit belongs to a *round* (:meth:`EmbeddedLog.round`), one SQLite transaction. Within a round the commits
of several owners follow one another; a crash takes the whole round back, as if none of it had happened, which is
what each of them may rely on anyway. So a round costs one synchronisation of the disk however many take part.

Every row carries a check: records by the chain, everything else by a SHA-256 of its own. A row that was altered
is found when it is read.
"""

import fcntl
import hashlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from events.errors import LogDamaged, Refused, TallystickError, Unavailable
from streams.features.shelf import Cupboard, Moves
from streams.hosts.cupboards import ERRORS, Tables, prepare
from streams.hosts.log import GENESIS, Append, Stored, TopicPartition, link
from streams.topology import TOPICS

_FORMAT: Final = "tallystick embedded log 1"

#: A record's rowid is topic, partition and offset side by side, so that each partition grows at one place of
#: the tree and a read is a range.
_TOPIC_BITS, _PARTITION_BITS, _OFFSET_BITS = 10, 12, 41
_NUMBERS: Final = {topic.name: number for number, topic in enumerate(TOPICS, start=1)}
_LAST_OFFSET: Final = (1 << _OFFSET_BITS) - 1
_FIRST_ROW: Final = -(1 << 63)

#: What SQLite says when the file is well and the world is not.
_OF_THE_WORLD: Final = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
    }
)

#: How many of a partition's last records stay in memory: more than any reader is behind in a round.
_RECENT_RECORDS: Final = 2_000

# `state` has rowids: in a tree of whole rows every look-up would read the megabytes of a snapshot it passes.
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, value BLOB NOT NULL, chain BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS position (
    owner TEXT NOT NULL, topic TEXT NOT NULL, partition INTEGER NOT NULL, next INTEGER NOT NULL,
    sha256 BLOB NOT NULL, PRIMARY KEY (owner, topic, partition)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (
    owner TEXT PRIMARY KEY, body BLOB NOT NULL, sha256 BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS about (
    name TEXT PRIMARY KEY, value TEXT NOT NULL, sha256 BLOB NOT NULL
) WITHOUT ROWID;
"""


def _base(topic: str, partition: int) -> int:
    return ((_NUMBERS[topic] << _PARTITION_BITS) | partition) << _OFFSET_BITS


def _check(*parts: str | int | bytes) -> bytes:
    """A hash over length-prefixed parts: two rows never have the same text by accident of where parts end."""
    digest = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def _failure(what: str, error: Exception) -> TallystickError:
    """The world's fault, which may pass, or the file's, which will not."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
    if code in _OF_THE_WORLD:
        return Unavailable(f"{what}: {error}; is the disk full, or another process writing?")
    return LogDamaged(f"{what}: {error}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Whoever is inside is the one process that may write or remove the log ``path``; Unavailable for all others.

    The lock lies in a file beside the log and goes with its process, however that ends. The file stays.
    """
    with path.with_name(f"{path.name}-lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise Unavailable(
                f"another process ({file.read().strip()}) is writing the log {path}: wait until it has ended"
            ) from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


class EmbeddedLog:
    """A :class:`streams.hosts.log.Log` in the file ``path``.

    ``read_only`` opens it beside the process that writes it. Raises Refused where the file is something else,
    Unavailable where it cannot be opened, LogDamaged where its content has been altered.
    """

    holes = False

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        if read_only and not path.exists():
            raise Unavailable(f"there is no log at {path}: run the job first, or name another with --log")
        mode = "ro" if read_only else "rwc"
        with ExitStack() as held:
            try:
                if not read_only:
                    path.parent.mkdir(parents=True, exist_ok=True)
                self._db = sqlite3.connect(
                    f"file:{quote(str(path))}?mode={mode}",
                    uri=True,
                    isolation_level=None,
                    check_same_thread=False,
                )
                held.callback(self._db.close)
                if not read_only:
                    self._leave_others_alone()
                    held.enter_context(writing(path))
                    self._take_possession()
                self._recognise()
            except OSError as error:
                raise Unavailable(f"the log {path} cannot be had: {error.strerror}") from error
            except ERRORS as error:
                raise _failure(f"cannot open the log {path}", error) from error
            self._held = held.pop_all()
        self._cold = Tables(self._db, lambda error: _failure(f"the cold rows of {path} cannot be had", error))
        # Where each partition ends and its last chain value: kept while we are the one who writes.
        self._heads: dict[TopicPartition, tuple[int, bytes]] = {}
        # What was appended last: actors of one process read almost nothing else, and need no SQL for it.
        self._recent: dict[TopicPartition, list[Stored]] = {}
        self._in_round = False
        self._version: int | None = None

    def _leave_others_alone(self) -> None:
        # Before anything is changed: a mistyped --log must not put tables of ours into a browser's history.
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if tables and not {"record", "about"} & tables:
            raise Refused(f"{self.path} is not a Tallystick log: it is another program's database")

    def _take_possession(self) -> None:
        # WAL lets readers go on while a round is written. NORMAL: a killed process loses nothing, a machine that
        # loses power may lose the last rounds, whole, and is consistent: nothing outside has seen them but through
        # this same file.
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("PRAGMA wal_autocheckpoint=4000")
        self._db.execute("PRAGMA cache_size=-65536")
        self._db.executescript(_SCHEMA)
        prepare(self._db)
        with self._db:
            self._db.execute(
                "INSERT OR IGNORE INTO about VALUES ('format', ?, ?)",
                (_FORMAT, _check("format", _FORMAT)),
            )

    def _recognise(self) -> None:
        tables = {name for (name,) in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables & {"record", "position", "state", "about"}:
            raise Refused(f"{self.path} is not a Tallystick log")
        row = self._db.execute("SELECT value, sha256 FROM about WHERE name = 'format'").fetchone()
        if row is None or row[0] != _FORMAT or row[1] != _check("format", row[0]):
            raise LogDamaged(f"{self.path}: the format row is not {_FORMAT!r} with its hash")

    # -- rounds ------------------------------------------------------------------------------------

    @contextmanager
    def round(self) -> Iterator[None]:
        """One SQLite transaction around the commits made inside."""
        if self._in_round:
            yield
            return
        self._run("BEGIN IMMEDIATE")
        self._in_round = True
        try:
            self._stay_alone()
            yield
            self._run("COMMIT")
        except BaseException:
            self._heads.clear()
            self._recent.clear()
            self._cold.forget_numbers()
            self._roll_back()
            raise
        finally:
            self._in_round = False

    def _roll_back(self) -> None:
        # A full disk has ended the transaction already, and a damaged file refuses even this: what counts is said.
        with suppress(*ERRORS):
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    def _stay_alone(self) -> None:
        """Our ends and our owners' states are stale once another connection has written; checked once a round."""
        version: int = self._db.execute("PRAGMA data_version").fetchone()[0]
        if self._version not in (None, version):
            raise Unavailable(f"another process has written to {self.path}: only one may; start again")
        self._version = version

    def _run(self, statement: str) -> None:
        try:
            self._db.execute(statement)
        except ERRORS as error:
            raise _failure(f"the log {self.path} cannot be written", error) from error

    # -- the port ----------------------------------------------------------------------------------

    def read(self, topic: str, partition: int, offset: int, limit: int) -> list[Stored]:
        recent = self._recent.get((topic, partition))
        if recent is not None and offset >= recent[0].offset:
            start = offset - recent[0].offset
            return recent[start : start + limit]
        if self._in_round and offset >= self._head(topic, partition)[0]:
            return []
        base = _base(topic, partition)
        try:
            rows = self._db.execute(
                "SELECT id, at, value, chain FROM record WHERE id BETWEEN ? AND ? ORDER BY id LIMIT ?",
                (base + offset, base + _LAST_OFFSET, limit),
            ).fetchall()
        except ERRORS as error:
            raise _failure(f"{topic}/{partition} from {offset} cannot be read", error) from error
        for row in rows:
            # SQLite columns have no types of their own: an altered row header may turn bytes into text.
            if type(row[1]) is not int or type(row[2]) is not bytes or type(row[3]) is not bytes:
                raise LogDamaged(f"{topic}/{partition} at {row[0] - base}: the row holds no stamp and bytes")
        return [Stored(row[0] - base, row[1], row[2], row[3]) for row in rows]

    def end(self, topic: str, partition: int) -> int:
        return self._head(topic, partition)[0]

    def _head(self, topic: str, partition: int) -> tuple[int, bytes]:
        head = self._heads.get((topic, partition))
        if head is None:
            base = _base(topic, partition)
            try:
                row = self._db.execute(
                    "SELECT id, chain FROM record WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1",
                    (base, base + _LAST_OFFSET),
                ).fetchone()
            except ERRORS as error:
                raise _failure(f"{topic}/{partition} has no readable end", error) from error
            head = (0, GENESIS) if row is None else (row[0] - base + 1, row[1])
            if self._in_round:
                self._heads[(topic, partition)] = head
        return head

    def commit(
        self,
        owner: str,
        appends: Sequence[Append],
        positions: Mapping[TopicPartition, int],
        state: bytes | None = None,
        moves: Iterable[Sequence[Moves]] = (),
    ) -> None:
        with self.round():
            heads = self._heads
            rows = []
            for topic, partition, at, value in appends:
                place = (topic, partition)
                end, chain = heads.get(place) or self._head(topic, partition)
                chain = link(chain, at, value)
                rows.append((_base(topic, partition) + end, at, value, chain))
                heads[place] = (end + 1, chain)
                recent = self._recent.setdefault(place, [])
                recent.append(Stored(end, at, value, chain))
                if len(recent) > 2 * _RECENT_RECORDS:
                    del recent[:_RECENT_RECORDS]
            try:
                self._db.executemany("INSERT INTO record VALUES (?, ?, ?, ?)", rows)
                self._db.executemany(
                    "INSERT OR REPLACE INTO position VALUES (?, ?, ?, ?, ?)",
                    [
                        (owner, topic, partition, following, _check(owner, topic, partition, following))
                        for (topic, partition), following in positions.items()
                    ],
                )
                if state is not None:
                    self._db.execute(
                        "INSERT OR REPLACE INTO state VALUES (?, ?, ?)", (owner, state, _check(owner, state))
                    )
            except ERRORS as error:
                raise _failure(f"the log {self.path} cannot be written", error) from error
            self._cold.apply(owner, moves)

    def positions(self, owner: str) -> dict[TopicPartition, int]:
        found = {}
        for topic, partition, following, check in self._select(
            "SELECT topic, partition, next, sha256 FROM position WHERE owner = ?", owner
        ):
            if check != _check(owner, topic, partition, following):
                raise LogDamaged(f"the position of {owner} in {topic}/{partition} has been altered")
            found[(topic, partition)] = following
        return found

    def state(self, owner: str) -> bytes | None:
        for body, check in self._select("SELECT body, sha256 FROM state WHERE owner = ?", owner):
            if type(body) is not bytes or check != _check(owner, body):
                raise LogDamaged(f"the state of {owner} has been altered")
            return body
        return None

    def cupboard(self, owner: str) -> Cupboard:
        return self._cold.cupboard(owner)

    def owners(self) -> list[str]:
        """Everybody who has committed here, sorted; whoever has an altered row is found by reading it."""
        rows = self._select("SELECT owner FROM position UNION SELECT owner FROM state ORDER BY 1")
        return [owner for (owner,) in rows]

    def places(self) -> list[TopicPartition]:
        """Every topic partition that holds a record."""
        names = {number: name for name, number in _NUMBERS.items()}
        found: list[TopicPartition] = []
        key = _FIRST_ROW
        while row := self._select("SELECT id FROM record WHERE id > ? ORDER BY id LIMIT 1", key):
            packed = row[0][0] >> _OFFSET_BITS
            number, partition = packed >> _PARTITION_BITS, packed & ((1 << _PARTITION_BITS) - 1)
            # In a damaged tree, what comes behind a key may be before it.
            if number not in names or row[0][0] <= key:
                raise LogDamaged(f"a record stands in a topic that does not exist (row {row[0][0]})")
            found.append((names[number], partition))
            key = (packed << _OFFSET_BITS) | _LAST_OFFSET
        return found

    def _select(self, statement: str, *arguments: str | int) -> list[tuple[Any, ...]]:
        try:
            return self._db.execute(statement, arguments).fetchall()
        except ERRORS as error:
            raise _failure(f"the log {self.path} cannot be read", error) from error

    @contextmanager
    def view(self) -> Iterator[None]:
        """Everything read inside is of one moment, whatever another process commits meanwhile."""
        self._run("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def check_tree(self) -> None:
        """Raise LogDamaged where the file's own structure does not hold: rows out of order, lost or counted twice; and
        where a cold row was altered."""
        found = self._select("PRAGMA integrity_check(1)")
        if found != [("ok",)]:
            first = " ".join(str(found[0][0]).split()) if found else "no answer"
            raise LogDamaged(f"the tree of the log {self.path} is damaged: {first}")
        self._cold.check()

    def close(self) -> None:
        self._held.close()
