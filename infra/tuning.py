"""What a process of ours asks of Python and of the kernel for itself."""

import gc
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

#: With it, somebody who also wants the processor gets nine tenths of it: a factor of 1.25 for each, sched(7).
_NICER: Final = 10
_SESSION: Final = Path("/proc/self/autogroup")


def collect_rarely() -> None:
    """Search for garbage in cycles rarely, for the rest of this process, which holds many events.

    They hold no cycles, and there are many of them: looking for cycles at every 700th new object costs a tenth.
    """
    gc.set_threshold(100_000, 20, 100)


def give_way() -> None:
    """Let whoever decides on the same machine come first: answers wait for no projection, and somebody waits for them.

    To be called before there are threads; those that come later are as nice. Linux may share the processors out among
    sessions first, and heeds how nice a process is within its own alone (sched(7), autogroup): so whoever leads a
    session has all of it give way.
    """
    os.nice(_NICER)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):  # Not on every kernel.
            _SESSION.write_text(str(_NICER))
