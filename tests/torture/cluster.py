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
    """Brokers, each with a wire to whoever is to be cut off from all of them."""

    def __init__(self, data: Path, count: int) -> None:
        self.data = data
        self.count = count
        self._wires = {number: Wire() for number in range(1, count + 1)}
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
        for wire in self._wires.values():
            wire.close()

    def start(self) -> None:
        """Whoever is not there; returns when all of them serve."""
        found = start(self.data, self._environment, self.count, extra=self._settings)
        self.bootstrap = found.bootstrap

    def _settings(self, number: int) -> Mapping[str, str]:
        wire = self._wires[number]
        return {
            "group.min.session.timeout.ms": "1000",
            "listeners": f"WIRE://127.0.0.1:{wire.broker_port}",
            "advertised.listeners": f"WIRE://127.0.0.1:{wire.port}",
            "listener.security.protocol.map": "WIRE:PLAINTEXT",
        }

    @property
    def wired(self) -> str:
        """Where whoever is to be cut off begins."""
        return ",".join(f"127.0.0.1:{wire.port}" for wire in self._wires.values())

    def cut(self) -> None:
        """End every connection of theirs; they get no new one."""
        for wire in self._wires.values():
            wire.cut()

    def swallow(self) -> None:
        """Hold what they send and are sent, and tell nobody."""
        for wire in self._wires.values():
            wire.swallow()

    def mend(self) -> None:
        """Pass on again."""
        for wire in self._wires.values():
            wire.mend()

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
