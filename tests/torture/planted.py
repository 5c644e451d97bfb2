"""``tallystick`` with a defect in its engine: ``python -m tests.torture.planted DEFECT -- worker ...``.

Nothing in the product can be switched like this: the defects are put into its classes here, in a process that the
torture alone starts, and the torture has to catch every one.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

from aiokafka.structs import RecordMetadata

from events.errors import Unavailable
from infra.cli import main
from streams.edge import adapter
from streams.hosts import kafka, transactions
from streams.hosts.index import Index, Staged
from streams.hosts.kafka import KafkaIndex
from streams.hosts.log import TopicPartition
from streams.hosts.standby import Warm
from streams.hosts.transactions import Transactions


def offsets_before_fence() -> None:
    """State and positions are read first, and the one before is shut out afterwards."""
    patience()

    async def restore(self: Any) -> None:
        await self._transactions.close()
        self.index, empty = await asyncio.to_thread(self._restored, None)
        self._reach("after-restore")
        await self._transactions.fence()
        if empty:
            await self._commit(self.index.opening())

    KafkaIndex._restore = restore  # type: ignore[method-assign]


class _Deaf:
    """A producer whose answers nobody waits for."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._ends: dict[tuple[str, int], int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> "asyncio.Future[RecordMetadata]":
        """Hand the batch over and make up the answer."""
        count = batch.record_count()
        sent = await self._producer.send_batch(batch, topic, partition=partition)
        sent.add_done_callback(lambda future: future.cancelled() or future.exception())
        place = (topic, partition)
        offset = self._ends.get(place, 0)
        self._ends[place] = offset + count
        made: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        made.set_result(RecordMetadata(topic, partition, None, offset, 0, 0, 0))
        return made


def produce_not_awaited() -> None:
    """Records are handed to the client, and the commit follows whatever becomes of them."""
    fence = Transactions.fence

    async def deaf(self: Any, *arguments: Any) -> None:
        await fence(self, *arguments)
        self._producer = _Deaf(self._producer)

    transactions.Transactions.fence = deaf  # type: ignore[method-assign]


def state_before_commit() -> None:
    """What was decided is the state, whether its transaction went through or not."""
    commit = KafkaIndex._commit

    async def careless(self: Any, staged: Staged) -> None:
        try:
            await commit(self, staged)
        except Unavailable:
            await self._transactions.close()
            await self._transactions.fence()

    KafkaIndex._commit = careless  # type: ignore[method-assign]


def group_over_log() -> None:
    """Where the group says one was, reading goes on; where it says nothing, at the beginning."""
    restored = KafkaIndex._restored

    def trusting(self: Any, warm: Warm | None) -> tuple[Index, bool]:
        index, empty = restored(self, warm)
        log = kafka.KafkaLog(self._cluster)
        try:
            said: dict[TopicPartition, int] = log.positions(index.owner)
        finally:
            log.close()
        for place in index.positions:
            index.positions[place] = said.get(place, 0)
        return index, empty

    KafkaIndex._restored = trusting  # type: ignore[method-assign]


def repeated_authorization() -> None:
    """What may have been sent and has no answer is sent again, authorizations too."""

    def resumed(self: Any, line: Any, partition: int, pending: Any) -> tuple[list[Any], list[Any]]:
        again = []
        for sent in pending:
            recorded = adapter.decode_event(sent.event)
            answers = line.edge.see(adapter.LOG, partition, recorded)
            again.append(adapter.Call(partition, sent.offset, recorded, answers))
        return again, []

    adapter.AdapterProcess._resumed = resumed  # type: ignore[method-assign]


def patience() -> None:
    """No defect: a commit may take as long as somebody wants to keep it open."""
    transactions.COMMIT_SECONDS = 60.0  # type: ignore[misc]
    transactions.TRANSACTION_SECONDS = 60.0  # type: ignore[misc]


PLANTS: Final[dict[str, Callable[[], None]]] = {
    "patience": patience,
    "offsets-before-fence": offsets_before_fence,
    "produce-not-awaited": produce_not_awaited,
    "state-before-commit": state_before_commit,
    "group-over-log": group_over_log,
    "repeated-authorization": repeated_authorization,
}

if __name__ == "__main__":
    _, defect, dashes, *sys.argv[1:] = sys.argv
    assert dashes == "--", "python -m tests.torture.planted DEFECT -- ARGUMENTS"
    PLANTS[defect]()
    raise SystemExit(main())
