"""The brokers of the torture: started and stopped by the code that operators use, killed and cut off by this."""

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from infra.kafka.broker import start, status, stop
from tests.torture.wire import Wire

#: A group misses a member after this, and not before: the shortest session that a worker takes.
SESSION_MS: Final = 3_000


class Cluster:
    """One broker with a wire that can be cut, or three without."""

    def __init__(self, data: Path, count: int) -> None:
        self.data = data
        self.count = count
        self._wire = Wire() if count == 1 else None
        self._environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}
        self.bootstrap = ""
        self._frozen: set[int] = set()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        for number in list(self._frozen):
            self.thaw(number)
        stop(self.data, self._environment)
        if self._wire is not None:
            self._wire.close()

    def start(self) -> None:
        """Whoever is not there; returns when all of them serve."""
        found = start(self.data, self._environment, self.count, extra=self._settings())
        self.bootstrap = found.bootstrap

    def _settings(self) -> Mapping[str, str]:
        settings = {"group.min.session.timeout.ms": "1000"}
        if self._wire is None:
            return settings
        return {
            **settings,
            "listeners": f"WIRE://127.0.0.1:{self._wire.broker_port}",
            "advertised.listeners": f"WIRE://127.0.0.1:{self._wire.port}",
            "listener.security.protocol.map": "WIRE:PLAINTEXT",
        }

    @property
    def wired(self) -> str:
        """Where whoever is to be cut off begins."""
        assert self._wire is not None, "three brokers have no wire"
        return f"127.0.0.1:{self._wire.port}"

    @property
    def wire(self) -> Wire:
        """The wire."""
        assert self._wire is not None, "three brokers have no wire"
        return self._wire

    def kill(self, number: int) -> None:
        """``kill -9`` for a broker; returns when it is gone."""
        for pid in self._signal(number, signal.SIGKILL):
            os.waitpid(pid, 0)

    def freeze(self, number: int) -> None:
        """It keeps its connections and says nothing."""
        self._frozen.add(number)
        self._signal(number, signal.SIGSTOP)

    def thaw(self, number: int) -> None:
        """It goes on where it was."""
        self._frozen.discard(number)
        self._signal(number, signal.SIGCONT)

    def _signal(self, number: int, what: signal.Signals) -> list[int]:
        sent = [
            broker.pid
            for broker in status(self.data, self._environment).brokers
            if broker.number == number and broker.running
        ]
        for pid in sent:
            os.kill(pid, what)
        return sent
