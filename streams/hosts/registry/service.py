"""A registry at work: the state, kept up to date from a storage that others may write to as well.

A change takes a *turn*: for as long as it lasts nobody else's writes go through. The storage is read to its end, the
state decides, the records are written, and read back before the answer is given. So an id is decided by whoever has
the turn and knows all that was written before; where a turn was lost on the way nothing was written, and it begins
anew.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final, Protocol, TypeVar

from events.errors import Unavailable
from streams.hosts.registry.ours import Ours
from streams.hosts.registry.records import Encoded, decode, encode
from streams.hosts.registry.refusal import Code, Overtaken, RegistryRefused
from streams.hosts.registry.state import Decision, State

LOGGER: Final = logging.getLogger("tallystick.registry")
TURNS: Final = 20
"""How often a turn is tried before the caller is told to come again."""

Append = Callable[[Sequence[Encoded]], Awaitable[None]]
_T = TypeVar("_T")


class Storage(Protocol):
    """Where records are kept, in the order in which they were written. One registry has one of its own; several may
    stand for the same records, in other processes too."""

    async def start(self) -> None:
        """Called once, before anything else. Raises Unavailable, Refused."""

    async def stop(self) -> None:
        """Called once, also where ``start`` has failed."""

    async def news(self) -> Sequence[tuple[bytes | None, bytes | None]]:
        """Everything that had been written when this was called and has not been given yet. Of several records with
        one key the last is always there, the others may be missing."""

    def turn(self) -> AbstractAsyncContextManager[Append]:
        """From its beginning to its end nobody else's records are written. What is appended in one call is written
        together or not at all; after a crash in between, not at all. Raises Overtaken where somebody else has taken
        the turn: then nothing was written."""


class MemoryStorage:
    """Records in memory: for tests, and for a registry that begins empty each time. ``records`` can be shared."""

    def __init__(self, records: list[Encoded] | None = None, lock: asyncio.Lock | None = None) -> None:
        self.records = [] if records is None else records
        self._lock = asyncio.Lock() if lock is None else lock
        self._read = 0

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def news(self) -> Sequence[Encoded]:
        """What has come."""
        found = self.records[self._read :]
        self._read = len(self.records)
        return found

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[Append]:
        """One after the other."""

        async def append(records: Sequence[Encoded]) -> None:
            self.records.extend(records)

        async with self._lock:
            yield append


class Registry:
    """The registry of a house: what web handlers talk to. Used in one event loop."""

    def __init__(self, prefix: str, storage: Storage, ours: Ours | None = None) -> None:
        self._storage = storage
        self._ours = Ours(prefix) if ours is None else ours
        self._state = State(self._ours)
        self._reading = asyncio.Lock()
        self._changing = asyncio.Lock()

    async def start(self) -> None:
        """Read all that is there. Raises Unavailable, Refused."""
        await self._storage.start()
        await self._catch_up()

    async def stop(self) -> None:
        """Let go of the storage."""
        await self._storage.stop()

    def owns(self, subject: str) -> bool:
        """Whether a subject is the house's own, which no call can change."""
        return self._ours.owns(subject)

    async def ask(self, question: Callable[[State], _T]) -> _T:
        """Answer from what is known; where that says no, from all that is there: another registry that shares the
        storage may have written it a moment ago."""
        try:
            return question(self._state)
        except RegistryRefused as refused:
            if refused.code not in _MAY_HAVE_COME:
                raise
        return await self._anew(question)

    async def ask_anew(self, question: Callable[[State], _T]) -> _T:
        """Answer from all that is there: for what is asked to act upon it."""
        return await self._anew(question)

    async def change(self, decide: Callable[[State], Decision[_T]]) -> _T:
        """Decide, write, read back, answer. Raises RegistryRefused, Unavailable."""
        async with self._changing:
            decision = await self._anew(decide)
            if not decision.records:
                return decision.answer
            for tried in range(TURNS):
                try:
                    return await self._take_turn(decide)
                except Overtaken:
                    LOGGER.debug("a turn was lost to somebody else; %d of %d", tried + 1, TURNS)
        raise Unavailable("others write to the registry without end; try again")

    async def _take_turn(self, decide: Callable[[State], Decision[_T]]) -> _T:
        async with self._storage.turn() as append:
            decision = await self._anew(decide)
            if decision.records:
                await append([encode(record) for record in decision.records])
        await self._catch_up()
        return decision.answer

    async def _anew(self, question: Callable[[State], _T]) -> _T:
        # In a thread: a thousand versions take a while to be compared, and a worker's loop has heartbeats to send.
        async with self._reading:
            self._take(await self._storage.news())
            return await asyncio.to_thread(question, self._state)

    async def _catch_up(self) -> None:
        async with self._reading:
            self._take(await self._storage.news())

    def _take(self, news: Iterable[tuple[bytes | None, bytes | None]]) -> None:
        for key, value in news:
            record = decode(key, value)
            if record is None:
                LOGGER.warning("a record on the registry's storage is none of ours and is passed over")
                continue
            try:
                self._state.evolve(record)
            except RegistryRefused as refused:
                LOGGER.error("a record on the registry's storage cannot be taken in: %s", refused)


_MAY_HAVE_COME: Final = frozenset(
    {
        Code.SUBJECT_NOT_FOUND,
        Code.VERSION_NOT_FOUND,
        Code.SCHEMA_NOT_FOUND,
        Code.LEVEL_NOT_CONFIGURED,
    }
)
