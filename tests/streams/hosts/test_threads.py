"""Indexes are opened in threads, several at once: what they decode by has to be complete before."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.patience import PATIENCE_SECONDS

ROOT: Final = Path(__file__).resolve().parents[3]
#: Four threads, between which the interpreter changes all the time, read every kind of state for the first time.
READING: Final = """
import importlib, sys, threading
import msgspec

def all_at_once(kept):
    sys.setswitchinterval(1e-6)
    together = threading.Barrier(4)

    def read():
        together.wait()
        for state, decode in kept:
            assert isinstance(decode(msgspec.msgpack.encode(state)), type(state))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""
BY_THE_TOPOLOGY: Final = """
from streams.topology import ENGINES

pairs = [pair for spec in ENGINES for pair in zip(spec.processors, spec.decoders, strict=True)]
all_at_once([(processor.initial(), decoder.decode) for processor, decoder in pairs])
"""
UNPREPARED: Final = """
names = "intake risk review routing authorization lifecycle refunds clearing fees disputes settlement".split()
states = [importlib.import_module(f"streams.{name}").initial() for name in names]
all_at_once([(state, lambda data, kind=type(state): msgspec.msgpack.decode(data, type=kind)) for state in states])
"""


def ends_with(how: str) -> int:
    """The exit code of a process that does it."""
    command = [sys.executable, "-c", READING + how]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE_SECONDS
    ).returncode


@pytest.mark.parametrize("_time", range(3))
def test_states_are_read_in_threads(_time: int) -> None:
    """By the decoders that were made with the topology: every one, and nobody dies."""
    assert ends_with(BY_THE_TOPOLOGY) == 0


def test_without_them_a_process_dies() -> None:
    """Nine times in ten; where that ends, the decoders need not be made beforehand any more."""
    assert -signal.SIGSEGV in (ends_with(UNPREPARED) for _ in range(12))
