"""Python's search for garbage in cycles, made rarer for processes that hold many events.

Events hold no cycles, and there are many of them: looking for cycles at every 700th new object costs a tenth.
"""

import gc


def collect_rarely() -> None:
    """For the rest of this process."""
    gc.set_threshold(100_000, 20, 100)
