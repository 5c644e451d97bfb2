"""What a kill costs: payments come at a steady rate, the worker is killed, its supervisor starts another.

Nothing is lost and nobody waits for the answers, so the outcomes that could not come meanwhile come in a heap.
"""

import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from events.requests import PaymentRequest
from tests.bench.peers.driver import Driver, Timed
from tests.bench.peers.systems import DECIDING, Tallystick
from tests.bench.peers.tunings import OURS

SECONDS: Final = 26.0
KILL_AT: Final = 6.0
#: Width of a column of the time line.
STEP_SECONDS: Final = 0.25


def kill(
    folder: Path,
    bootstrap: str,
    bodies: Sequence[PaymentRequest],
    names: Mapping[str, str],
    rate: float,
) -> dict[str, Any]:
    """Run, kill, and tell what came when."""
    system = Tallystick(bootstrap, folder, "kill", OURS[0], names)
    killed: list[float] = []

    def strike(seconds: float) -> None:
        if seconds >= KILL_AT and not killed:
            killed.append(seconds)
            os.kill(system.pids()[DECIDING][0], signal.SIGKILL)

    with system:
        driver = Driver(system, bootstrap)
        try:
            first = system.first_payments
            driver.warm_up(bodies[:first])
            timed = driver.paced(bodies[first : first + int(rate * SECONDS)], rate, strike)
            driver.collect()
        finally:
            driver.close()
    told = time_line(timed, killed[0])
    return {"rate": round(rate, 1), "payments": timed.payments, "repeated": driver.repeated, **told}


def time_line(timed: Timed, killed_at: float) -> dict[str, Any]:
    """Outcomes a second over time, the longest silence behind the kill, and when nobody waited longer than before."""
    counted = Counter(int(at / STEP_SECONDS) for at in timed.at)
    before = sorted(ms for at, ms in zip(timed.at, timed.latencies, strict=True) if at < killed_at)
    usual = 2 * before[len(before) * 99 // 100]
    late = [at for at, ms in zip(timed.at, timed.latencies, strict=True) if at > killed_at and ms > usual]
    behind = [killed_at, *(at for at in timed.at if at > killed_at)]
    silence = max(second - first for first, second in pairwise(behind))
    return {
        "killed_at": round(killed_at, 2),
        "silent_seconds": round(silence, 2),
        "recovered_seconds": round(max(late, default=killed_at) - killed_at, 2),
        "step_seconds": STEP_SECONDS,
        "outcomes_per_second": [round(counted[step] / STEP_SECONDS, 1) for step in range(max(counted) + 1)],
    }
