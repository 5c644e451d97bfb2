"""Snapshots beside a log on Kafka: files that save time and are never believed.

A snapshot is kept with the ends and the chain values of the logs it was taken at. It fits where the log has these very
records at these ends; anything else (another log under the same name, a log that was cut, a damaged file) is thrown
away, and the log is folded from its beginning.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from events.errors import LogDamaged
from streams.hosts.log import Log
from streams.hosts.snapshots import unseal

LOGGER: Final = logging.getLogger("tallystick.snapshots")


class Kept(msgspec.Struct, frozen=True):
    """A sealed snapshot, where the logs ended and the chain value of the last record of each; ``events`` so far."""

    ends: dict[str, int]
    chains: dict[str, bytes]
    events: int
    snapshot: bytes


class Shelf:
    """The place of one owner's snapshot in a folder."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.path = folder / f"{owner.replace('/', '-')}.snapshot"

    def keep(
        self, snapshot: bytes, ends: Mapping[str, int], chains: Mapping[str, bytes], events: int
    ) -> None:
        """Replace what was kept. A full disk is said, and costs nothing but time."""
        body = msgspec.msgpack.encode(Kept(dict(ends), dict(chains), events, snapshot))
        partial = self.path.with_suffix(".partial")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with partial.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(self.path)
        except OSError as error:
            LOGGER.warning("no snapshot was kept at %s: %s", self.path, error.strerror)

    def fitting(self, log: Log, partition: int) -> Kept | None:
        """What was kept, where the log agrees with it."""
        try:
            kept = msgspec.msgpack.decode(self.path.read_bytes(), type=Kept)
            if unseal(kept.snapshot) is None:
                return self._unused("it was written by another version")
        except FileNotFoundError:
            return None
        except OSError as error:
            return self._unused(f"it cannot be read ({error.strerror})")
        except (msgspec.MsgspecError, LogDamaged):
            return self._unused("it is damaged")
        for name, end in kept.ends.items():
            if end > log.end(name, partition):
                return self._unused("it is ahead of the log")
            last = log.read(name, partition, end - 1, 1)
            if not last or last[0].offset != end - 1 or last[0].chain != kept.chains.get(name):
                return self._unused("it belongs to another log")
        return kept

    def _unused(self, why: str) -> Kept | None:
        LOGGER.warning(
            "the snapshot %s is not used: %s; the log is folded from its beginning", self.path, why
        )
        return None
