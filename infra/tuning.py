"""What a process of ours asks of Python and of the kernel for itself."""

import gc
import os
from typing import Final

#: With it, somebody who also wants the processor gets nine tenths of it: a factor of 1.25 for each, sched(7).
_NICER: Final = 10


def collect_rarely() -> None:
    """Search for garbage in cycles rarely, for the rest of this process, which holds many events.

    They hold no cycles, and there are many of them: looking for cycles at every 700th new object costs a tenth.
    """
    gc.set_threshold(100_000, 20, 100)


def give_way() -> None:
    """Let whoever decides on the same machine come first: answers wait for no projection, and somebody waits for them.

    To be called before there are threads; those that come later are as nice.
    """
    os.nice(_NICER)
