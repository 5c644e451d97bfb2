"""The comparison itself: every system in every tuning, one after the other on one broker.

    python -m tests.bench.peers.compare --only tallystick,faust --seconds 3

In each: some payments until it has started, a short burst that says how much it takes, a burst of some seconds, which
is its rate, and open loops at a quarter, a half and three quarters of that. Afterwards the outcomes are compared with
ours, payment by payment.

A machine of which others have a share is another one ten minutes later. So our fastest tuning has its burst again
before and behind each peer, and what we do beside a peer is what its rate is held against.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import Any, Final, NamedTuple

from infra.kafka.broker import Jvm, Status, start, status, stop
from tests.bench.figures import percentile
from tests.bench.peers import floor, recovery, work
from tests.bench.peers.driver import Driver, Timed
from tests.bench.peers.systems import DECIDING, PEERS, System, Tallystick, Tuning, missing
from tests.bench.peers.tunings import ALONE, TUNINGS
from tests.bench.peers.work import Outcome

OURS: Final = Tallystick.name
NAMES: Final = (OURS, *(peer.name for peer in PEERS))
SHARES: Final = (0.25, 0.5, 0.75)
HALF: Final = 0.5
PROBE: Final = 1_500
#: A burst is as long as keeps a system's processor busy for so many seconds, for what waits for transactions has a rate
#: that grows with the burst; but it may not take longer than this many times that.
PATIENCE: Final = 5
LEAST: Final = 1_000
MOST: Final = 40_000
SECONDS: Final = 7.0
#: Payments made up for all phases of the fastest system.
PAYMENTS: Final = 120_000

Say = Callable[[str], None]


class Ran(NamedTuple):
    """One system in one tuning: its figures as they are kept, and its outcomes."""

    figures: dict[str, Any]
    outcomes: set[Outcome]


def compare(
    folder: Path, broker: Status, only: Sequence[str] = NAMES, seconds: float = SECONDS, say: Say = print
) -> dict[str, Any]:
    """Figures of all that can be compared here, Tallystick first."""
    bootstrap = broker.bootstrap
    bodies = work.requests(
        int(PAYMENTS * seconds / SECONDS) + max(one.first_payments for one in (Tallystick, *PEERS)) + PROBE
    )
    names = {work.id_of(body): work.name_of(body) for body in bodies}
    ours: dict[str, Outcome] = {}
    tables: dict[str, list[dict[str, Any]]] = {}
    skipped: dict[str, str] = {}
    figures: dict[str, Any] = {}
    beside: dict[str, list[float]] = {}
    before = 0.0
    for name in (one for one in NAMES if one in only):
        peer = next((one for one in PEERS if one.name == name), None)
        if peer is not None and (reason := missing(peer)):
            skipped[name] = reason
            say(f"{name} is not compared: {reason}")
            continue
        for number, tuning in enumerate(TUNINGS[name]):
            say(f"{name}, {tuning.name}")
            place, prefix = folder / f"{name}-{number}", f"{name.replace('_', '-')}-{number}"
            system: System = (
                Tallystick(bootstrap, place, prefix, tuning, names)
                if peer is None
                else peer(bootstrap, place, prefix, tuning)
            )
            try:
                ran = run(system, broker, bodies, seconds)
            except RuntimeError as error:
                if peer is None:
                    raise
                # One tuning less is a smaller loss than all that was measured before.
                skipped[f"{name}, {tuning.name}"] = str(error)
                say(f"  does not run: {error}")
                continue
            if not ours:
                ours = {one.payment: one for one in ran.outcomes}
            ran.figures.update(agreement(ours, ran.outcomes))
            tables.setdefault(name, []).append(ran.figures)
            say(f"  {ran.figures['rate']:.0f}/s, p99 {at_half(ran.figures)['p99_ms']} ms at half of it")
        if peer is None:
            figures |= floor.floor(bootstrap, f"{OURS}-0", seconds)
            figures["path_alone"] = alone(folder / "alone", broker, bodies, names, seconds, say)
            rate = max(one["rate"] for one in tables[OURS]) * HALF
            figures["recovery"] = recovery.kill(folder / "kill", bootstrap, bodies, names, rate)
        if OURS in tables:
            best = TUNINGS[OURS][tables[OURS].index(fastest(tables[OURS]))]
            say(f"{OURS}, {best.name}, again")
            again = f"again-{name.replace('_', '-')}"
            system = Tallystick(bootstrap, folder / again, again, best, names)
            behind = round(rate_of(system, broker, bodies, seconds), 1)
            say(f"  {behind:.0f}/s")
            if peer is not None:
                beside[name] = [before, behind]
            before = behind
    figures["ours_beside"] = beside
    return figures | summary(tables, figures) | {"peers": tables, "peers_skipped": skipped}


def alone(
    folder: Path,
    broker: Status,
    bodies: Sequence[Any],
    names: Mapping[str, str],
    seconds: float,
    say: Say,
) -> dict[str, Any]:
    """Ours without whatever the peers do not have beside them: the ratio is of the path, not of the house."""
    say(f"{OURS}, {ALONE.name}")
    ran = run(Tallystick(broker.bootstrap, folder, "alone", ALONE, names), broker, bodies, seconds)
    return ran.figures


def run(system: System, broker: Status, bodies: Sequence[Any], seconds: float) -> Ran:
    """One system from its start to its end."""
    left = iter(bodies)
    with system, closing(Driver(system, broker.bootstrap, [one.pid for one in broker.brokers])) as driver:
        burst = _burst(driver, system, left, seconds)
        loads = [
            told(driver.paced(_some(left, int(burst.rate * share * seconds)), burst.rate * share), share)
            for share in SHARES
        ]
        outcomes = driver.collect()
    tuning: Tuning = system.tuning
    figures = {
        "tuning": tuning.name,
        "settings": tuning.shown(),
        "processes": tuning.processes,
        "payments": burst.payments,
        "rate": round(burst.rate, 1),
        "rate_until_level": round(burst.payments / burst.level, 1),
        "repeated": driver.repeated,
        "budget_us": budget_of(burst),
        "loads": loads,
    }
    return Ran(figures, outcomes)


def rate_of(system: System, broker: Status, bodies: Sequence[Any], seconds: float) -> float:
    """What a system does all at once, from its start to its end."""
    with system, closing(Driver(system, broker.bootstrap)) as driver:
        return _burst(driver, system, iter(bodies), seconds).rate


def _burst(driver: Driver, system: System, left: Iterator[Any], seconds: float) -> Timed:
    driver.warm_up(_some(left, system.first_payments))
    probed = driver.burst(_some(left, PROBE))
    return driver.burst(_some(left, burst_size(probed, system.tuning.processes * seconds)))


def _some(left: Iterator[Any], count: int) -> list[Any]:
    return list(islice(left, count))


def burst_size(probed: Timed, seconds: float) -> int:
    """Payments that take so many seconds of a core, if they do not take much longer."""
    busy = seconds * probed.payments / max(probed.processor[DECIDING], 0.01)
    return min(MOST, max(LEAST, min(int(busy), int(PATIENCE * seconds * probed.rate))))


def budget_of(timed: Timed) -> dict[str, float]:
    """Microseconds of a core for a payment, by what they do."""
    return {part: round(1e6 * taken / timed.payments, 1) for part, taken in timed.processor.items()}


def told(timed: Timed, share: float) -> dict[str, Any]:
    """An open loop as it is kept: rates in payments a second."""
    return {
        "share": share,
        "offered": round(timed.payments / max(timed.seconds, 1e-9), 1),
        "p50_ms": percentile(timed.latencies, 50),
        "p99_ms": percentile(timed.latencies, 99),
        "budget_us": budget_of(timed),
    }


def at_half(figures: Mapping[str, Any]) -> dict[str, Any]:
    """The open loop at half of the burst's rate."""
    found: dict[str, Any] = next(one for one in figures["loads"] if one["share"] == HALF)
    return found


def agreement(ours: Mapping[str, Outcome], outcomes: set[Outcome]) -> dict[str, Any]:
    """How many payments both have seen, and which of them ended otherwise here: as ours, and as theirs."""
    both = [(ours[one.payment], one) for one in outcomes if one.payment in ours]
    differ = sorted((our, one) for our, one in both if our != one)
    return {"compared": len(both), "differ": len(differ), "differing": differ[:5]}


def fastest(runs: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The run of the tuning that counts."""
    return max(runs, key=lambda one: float(one["rate"]))


def over(figures: Mapping[str, Any], peers: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> float:
    """How many of a peer's payments one of ours stands for: our rate beside it, over the one of its fastest tuning."""
    ours = figures.get("ours_beside", {}).get(name) or [fastest(peers[OURS])["rate"]]
    return fmean(ours) / float(fastest(peers[name])["rate"])


def alone_over(
    figures: Mapping[str, Any], peers: Mapping[str, Sequence[Mapping[str, Any]]], name: str
) -> float:
    """The same of the path alone, which was measured beside the whole of ours."""
    share = float(figures["path_alone"]["rate"]) / float(fastest(peers[OURS])["rate"])
    return share * over(figures, peers, name)


def summary(tables: Mapping[str, Sequence[Mapping[str, Any]]], figures: Mapping[str, Any]) -> dict[str, Any]:
    """The figures that are looked at first: ours, and ours over each peer's."""
    if OURS not in tables:
        return {}
    ours = fastest(tables[OURS])
    found: dict[str, Any] = {
        "authorizations_per_second": ours["rate"],
        "projected_per_second": ours["rate_until_level"],
        "p99_ms_at_half_load": at_half(ours)["p99_ms"],
        "outcomes_that_differ": sum(one["differ"] for runs in tables.values() for one in runs),
    }
    for name in NAMES[1:]:
        if name in tables:
            best = fastest(tables[name])
            found[f"ratio_{name}"] = round(over(figures, tables, name), 2)
            found[f"ratio_{name}_path_alone"] = round(alone_over(figures, tables, name), 2)
            found[f"{name}_per_second"] = best["rate"]
            found[f"{name}_p99_ms_at_half_load"] = at_half(best)["p99_ms"]
    # The floor is one process, so it lies under one worker.
    one_worker = fastest([run for run in tables[OURS] if run["processes"] == 1])
    found["ratio_floor"] = round(one_worker["rate"] / figures["floor_per_second"], 3)
    return found


def main() -> None:
    """Compare on a broker of its own, print, keep where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", default=",".join(NAMES), help="systems with commas between them")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each phase")
    parser.add_argument("--out", type=Path, help="a JSON file for all figures")
    given = parser.parse_args()
    environment = {name: value for name, value in os.environ.items() if name != "KAFKA_BOOTSTRAP"}
    with tempfile.TemporaryDirectory(prefix="tallystick-peers-") as folder:
        data = Path(folder) / "kafka"
        start(data, environment, None, Jvm.FAST)
        try:
            figures = compare(Path(folder), status(data, environment), given.only.split(","), given.seconds)
        finally:
            stop(data, environment)
    text = json.dumps(figures, indent=2)
    if given.out:
        given.out.write_text(text + "\n", "utf-8")
    print(
        json.dumps(
            {name: value for name, value in figures.items() if name not in ("peers", "recovery")}, indent=2
        )
    )


if __name__ == "__main__":
    main()
