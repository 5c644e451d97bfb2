"""The projector as a process of its own, beside the job that writes the log.

The job starts it, lets it follow the committed log, and asks it to finish: ``finish`` on its standard input
means "up to the end of the log, then stop", ``level`` the same without the stop, the end of that input (the job has
died) "stop now". It answers in lines of JSON: ``[taken, of]`` on its way to the end, or a sentence that says why it
cannot go on. Its position stands in the store, in one transaction with its rows, so stopping anywhere is safe.
"""

import json
import os
import select
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Final, Self

from events.errors import Broken, Refused, TallystickError, Unavailable
from infra.commandline import INVARIANT_FAILED, OK, UNAVAILABLE, USAGE, exit_code_of
from infra.crashing import reach_of
from infra.logs import place_of
from infra.settings import Value
from infra.stores import StoreAddress, open_store, store_address
from infra.tuning import collect_rarely, give_way

if TYPE_CHECKING:
    from projections.store import SqlStore
    from streams.hosts.cluster import Cluster
    from streams.hosts.log import Log

#: Where our packages are imported from.
_PACKAGES: Final = Path(__file__).resolve().parent.parent

#: What the job asks for.
_FINISH: Final = "finish\n"
_LEVEL: Final = "level\n"

#: How long the projector lets events come together where they do not fill a batch: a transaction costs what the rows of
#: a thousand do, and a projector that is level would spend a core on transactions of a few.
_GATHER_SECONDS: Final = 0.5

#: How long it waits before it asks for a store again that somebody else has.
_AGAIN_SECONDS: Final = 0.05

#: How long it waits for a store that somebody else has: the projector of a killed job lets go when it has written what
#: it has taken, within a second; but it gives way to everybody, so on a crowded machine a second takes its time (more
#: than a minute where four others wanted two cores).
_STORE_SECONDS: Final = 120.0

#: The variable that tells the projector its store.
_STORE: Final = "TALLYSTICK_STORE"

#: What its exit codes mean, where it could say why.
_ERRORS: Final[dict[int, type[TallystickError]]] = {
    INVARIANT_FAILED: Broken,
    USAGE: Refused,
    UNAVAILABLE: Unavailable,
}


class Projecting:
    """The job's side: a projector that runs while the context is entered."""

    def __init__(
        self,
        log: str,
        store: StoreAddress,
        partitions: int,
        kafka_config: Path | None = None,
        *,
        packages: Path = _PACKAGES,
    ) -> None:
        """``log`` is an address: ``sqlite:PATH`` or ``kafka://HOST:PORT/PREFIX``; ``packages`` the folder that ours are
        imported from."""
        arguments = [log, str(partitions), *([] if kafka_config is None else [str(kafka_config)])]
        self._store = store
        self._packages = packages
        self._command = [sys.executable, "-m", "infra.projecting", *arguments]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        path = os.pathsep.join(filter(None, (str(self._packages), os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Not as an argument: everybody on the machine may read those, and there may be a password in it.
            env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": path, _STORE: self._store.text},
            # It gives way as a session of its own, and does not see a Ctrl-C: the job tells it to stop.
            start_new_session=True,
        )
        return self

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None
        return self._process.pid

    def check(self) -> None:
        """Raise what ended the projector, where something has: Refused, Unavailable or Broken."""
        assert self._process is not None
        if self._process.poll() is not None:
            self._answer()

    def finish(self, on_progress: Callable[[int, int], None]) -> None:
        """Let it come to the end of the log, which nobody writes any more, and stop.

        ``on_progress`` is told how far it is, of how far: events, and on Kafka the ends of transactions beside them.
        """
        self._come_to_the_end(_FINISH, on_progress)
        assert self._process is not None
        if self._process.wait() != 0:
            self._answer()

    def level(self) -> None:
        """Wait until it has everything that the log holds; it goes on."""
        self._come_to_the_end(_LEVEL, lambda _taken, _of: None)

    def _come_to_the_end(self, asked: str, on_progress: Callable[[int, int], None]) -> None:
        process = self._process
        assert process is not None and process.stdin is not None
        try:
            process.stdin.write(asked)
            process.stdin.flush()
        except BrokenPipeError:
            pass  # It has died, and its answer says of what.
        while True:
            taken, of = self._answer()
            on_progress(taken, of)
            if taken == of:
                return

    def _answer(self) -> tuple[int, int]:
        assert self._process is not None and self._process.stdout is not None
        line = self._process.stdout.readline()
        said = json.loads(line) if line.endswith("\n") else ""
        if isinstance(said, str):
            raise self._failure(said)
        taken, of = said
        return taken, of

    def _failure(self, sentence: str) -> TallystickError:
        assert self._process is not None
        code = self._process.wait()
        if sentence:
            return _ERRORS.get(code, Unavailable)(sentence)
        return Unavailable(
            f"the projector ended with exit code {code}; the log is whole: run the same command again to go on"
        )

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        process = self._process
        assert process is not None and process.stdin is not None and process.stdout is not None
        process.stdin.close()
        process.stdout.close()
        process.wait()


def follow(
    log: "Path | Cluster",
    store: StoreAddress,
    partitions: int,
    control: IO[str],
    answers: IO[str],
    reach: Callable[[str], None],
) -> None:
    """The projector's side: project what is committed until told to stop; ``reach`` is told of a commit's points."""
    from projections.projector import BATCH_EVENTS, Projector

    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    with _reader(log) as source, closing(_held(store, _hangs_up(control))) as held:
        held.reach = reach
        projector = Projector(source, held, partitions)
        asked = ""
        while True:
            projected = projector.turn()
            if asked:
                # Offsets may have holes behind the last record, so that there is nothing more says it is the end.
                of = projector.end
                taken = min(projector.done, of - 1) if projected else of
                print(json.dumps([taken, of]), file=answers, flush=True)
                if not projected:
                    if asked == _FINISH:
                        return
                    asked = ""
            elif selector.select(0 if projector.end - projector.done >= BATCH_EVENTS else _GATHER_SECONDS):
                asked = control.readline()
                if asked not in (_FINISH, _LEVEL):
                    return


@contextmanager
def _reader(log: "Path | Cluster") -> "Iterator[Log]":
    if isinstance(log, Path):
        from streams.hosts.embedded import EmbeddedLog

        with closing(EmbeddedLog(log, read_only=True)) as file:
            yield file
        return
    from streams.hosts.kafkalog import KafkaLog

    with closing(KafkaLog(log)) as topics:
        yield topics


def _hangs_up(control: IO[str]) -> Callable[[], bool]:
    """Whether nobody can say anything more, whatever has been said before."""
    poll = select.poll()
    poll.register(control, 0)  # A hang-up is told unasked.
    return lambda: bool(poll.poll(0))


def _held(address: StoreAddress, is_alone: Callable[[], bool]) -> "SqlStore":
    """The store, waited for while the projector of a job that was killed still has it.

    Not by one whose own job has died meanwhile: it would take the store when others have done with it and ask for it.
    """
    from projections.port import StoreBusy

    patience_ends = time.monotonic() + _STORE_SECONDS
    while True:
        if is_alone():
            raise Unavailable(f"nobody waits any more for what was to be projected into {address}")
        try:
            return open_store(address)
        except StoreBusy:
            if time.monotonic() > patience_ends:
                raise
        time.sleep(_AGAIN_SECONDS)


def main() -> int:
    """Entry of the projector process: LOG PARTITIONS [KAFKA-CONFIG], with the store in the environment."""
    log, partitions, *config = sys.argv[1:]
    store = store_address(Value(os.environ[_STORE], _STORE))
    try:
        return _follow_and_say(log, Path(config[0]) if config else None, store, int(partitions))
    except BrokenPipeError:
        # The job has died. Python would complain of the pipe again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNAVAILABLE


def _follow_and_say(log: str, kafka_config: Path | None, store: StoreAddress, partitions: int) -> int:
    give_way()
    import duckdb

    collect_rarely()
    try:
        place = place_of(Value(log, "LOG"), kafka_config)
        follow(place, store, partitions, sys.stdin, sys.stdout, reach_of(os.environ))
    except BrokenPipeError:
        raise
    except (duckdb.Error, OSError) as error:
        first_line = str(error).partition("\n")[0]
        print(json.dumps(f"the store {store.path or store} cannot be written: {first_line}"), flush=True)
        return UNAVAILABLE
    except TallystickError as error:
        print(json.dumps(str(error)), flush=True)
        return exit_code_of(error)
    return OK


if __name__ == "__main__":
    raise SystemExit(main())
