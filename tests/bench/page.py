"""``docs/benchmark.md`` from the figures of one run: who was compared, how, and what came of it.

The page is written only where every peer was there: half a comparison would be read as a whole one.
"""

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from streams.hosts.snapshots import SNAPSHOT_EVENTS
from tests.bench import long, takeover
from tests.bench.peers.compare import NAMES, OURS, alone_over, at_half, fastest, over
from tests.bench.peers.systems import BENCH_PYTHON, COUNTERPARTIES, DECIDING, PROJECTING, ROOT

PAGE: Final = ROOT / "docs" / "benchmark.md"
PLOTS: Final = ROOT / "docs" / "benchmark"
#: What `make bench` has measured.
KEPT: Final = ROOT / "bench.json"
#: What was aimed at, in payments a second.
TARGET: Final = 5_000
#: The other aims: milliseconds, multiples of what others do, events or postings and payments a second, and how much
#: more is still the same.
PROMPT_MS: Final = 250
TIMES: Final = {"faust": 10, "quix": 2, "kafka_streams": 0.5}
EVENTS: Final = 100_000
EMBEDDED: Final = 3_000
FLAT: Final = 1.1
TAKE_OVER_SECONDS: Final = 10
#: Above this, other work was done beside the run, and the page says so; below, it may have ended just before.
QUIET_LOAD: Final = 1.0

TITLES: Final = {
    OURS: ("Tallystick", "exactly once"),
    "faust": ("Faust", "at least once"),
    "quix": ("Quix Streams", "exactly once"),
    "kafka_streams": ("Kafka Streams", "exactly_once_v2"),
}
_OTHERS: Final = {
    "embedded_payments_per_second": "payments a second, whole life, embedded log and projections",
    "kafka_authorizations_per_second": "payments a second on Kafka with all that a day brings, captures included",
    "kafka_whole_life_payments_per_second": "payments a second through their whole life on Kafka, start included",
    "replay_events_per_second": "events a second of `replay --verify`",
    "projection_postings_per_second": "ledger entries a second into DuckDB, one core",
    "cost_flatness": "cost of a payment among 50,000 over one among 10,000",
    "memory_growth": "memory of the largest process, the same way",
}


def publish(figures: Mapping[str, Any]) -> str:
    """Write page and plots of what :data:`KEPT` holds; a sentence about it."""
    peers = figures.get("peers", {})
    absent = [name for name in NAMES if name not in peers]
    if absent:
        return f"No page: without {', '.join(absent)} there is no comparison (`make bench-peers`)."
    PLOTS.mkdir(exist_ok=True)
    subprocess.run(
        [BENCH_PYTHON, Path(__file__).with_name("plots.py"), KEPT, PLOTS], check=True, capture_output=True
    )
    PAGE.write_text("\n".join(lines(figures)) + "\n", "utf-8")
    return f"Written: {PAGE.relative_to(ROOT)} and its plots."


def lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """The page."""
    yield "# Benchmark"
    yield ""
    yield (
        "Written by `make bench` from one run, and good for that run alone: between machines, the ratios carry over. "
        "What is compared, and what each system does and does not do, stands in "
        "[peers](../tests/bench/peers/README.md)."
    )
    yield ""
    yield f"{figures['machine']}, Python {figures['python']}, {figures['date']}, commit `{figures['commit'][:12]}`."
    if figures["load_before"] > QUIET_LOAD:
        yield (
            f"**Other work was done beside it** (load {figures['load_before']:.1f} at its start): rates are too low, "
            "and latencies too high, for all."
        )
    yield from aims(figures)
    yield from _authorizations(figures)
    yield from budget(figures)
    yield from _floor(figures)
    yield from _parts(figures)
    yield from _recovery(figures["recovery"])
    yield from ("", "## Cost and length of the log", "")
    yield "What an event costs on the wall's clock while the embedded log grows to that of 50,000 payments."
    yield from ("", "![Cost and length](benchmark/cost-and-length.png)")
    if runs := long.kept():
        yield from long_run(*runs)
    if taken := takeover.kept():
        yield from taken_over(taken)
    yield from ("", "## Other figures", "")
    yield from ("| figure | |", "|---|---:|")
    yield from (f"| {meaning} | {figures[name]:,} |" for name, meaning in _OTHERS.items() if name in figures)


class Aim(NamedTuple):
    """What was aimed at, what came of it, and what stands between the two."""

    wanted: str
    found: str
    is_met: bool
    between: str


def aims(figures: Mapping[str, Any]) -> Iterator[str]:
    """Each aim, met or not."""
    yield from (
        "",
        "## What was aimed at",
        "",
        "| aim | here | met | what stands between |",
        "|---|---:|---|---|",
    )
    for one in (*_rates(figures), *_events(figures), *_flatness(), *warm()):
        yield (
            f"| {one.wanted} | {one.found} | {'yes' if one.is_met else '**no**'} "
            f"| {'' if one.is_met else one.between} |"
        )


def _rates(figures: Mapping[str, Any]) -> Iterator[Aim]:
    best, cores = fastest(figures["peers"][OURS]), figures["cores"]
    budget, outside = best["budget_us"], _outside(best["budget_us"])
    deciding, projecting = budget[DECIDING], budget.get(PROJECTING, 0)

    def left(rate: float) -> str:
        """What a rate leaves, and what takes it."""
        return (
            f"{cores * 1e6 / rate:,.0f} µs of a core for a payment: broker, line to the networks and driver take "
            f"{outside:,.0f}, deciding {deciding:,.0f}, projecting {projecting:,.0f}"
        )

    rate = best["rate"]
    yield Aim(f"{TARGET:,} authorizations a second", f"{rate:,.0f}", rate >= TARGET, left(TARGET))
    half, calm = at_half(best), best["loads"][0]
    yield Aim(
        f"p99 under {PROMPT_MS} ms at half load",
        f"{half['p99_ms']:,.0f} ms at {half['offered']:,.0f} a second",
        half["p99_ms"] < PROMPT_MS,
        "an answer stands behind three transactions, one after the other, and the line to the networks between them; "
        f"{_busy(half):.1f} of {cores} cores are busy by then beside the projector, for a payment takes more than in "
        f"the burst ({half['budget_us'][DECIDING]:,.0f} µs of deciding): it stands behind many more, of whose state "
        f"the processor's cache holds less, a snapshot is written every {SNAPSHOT_EVENTS:,} events, and batches are "
        f"smaller; at a quarter it is {calm['p99_ms']:,.0f} ms",
    )
    for name, times in TIMES.items():
        ratio = over(figures, figures["peers"], name)
        wanted = times * rate / ratio
        yield Aim(
            f"{times:g} times {TITLES[name][0]}",
            f"{ratio:.2f}",
            ratio >= times,
            f"{wanted:,.0f} a second leave {left(wanted)}",
        )


def _events(figures: Mapping[str, Any]) -> Iterator[Aim]:
    codec = figures["decode_us"] + figures["encode_us"]
    replayed, engines = figures["replay_events_per_second"], 1e6 / figures["engine_events_per_second"]
    yield Aim(
        f"{EVENTS:,} events a second replayed, per core",
        f"{replayed:,.0f}",
        replayed >= EVENTS,
        f"{1e6 / EVENTS:.0f} µs for an event, which is decided again and compared: its way through the engines takes "
        f"{engines:.0f}, to read and write it alone {codec:.0f}",
    )
    posted = figures["projection_postings_per_second"]
    yield Aim(
        f"{EVENTS:,} postings a second projected",
        f"{posted:,.0f}",
        posted >= EVENTS,
        f"with them all other tables are filled, {figures['projection_rows_per_second']:,.0f} rows a second in all",
    )
    embedded = figures["embedded_payments_per_second"]
    yield Aim(
        f"{EMBEDDED:,} payments a second on the embedded log",
        f"{embedded:,.0f}",
        embedded >= EMBEDDED,
        f"{figures['events_per_payment']} events for each, {figures['engine_us_per_payment']:,.0f} µs of a core before "
        "anything is written to a disk or projected",
    )


def _flatness() -> Iterator[Aim]:
    runs = long.kept()
    if not runs:
        return
    costs, memory = [run.flatness for run in runs], [run.growth for run in runs]
    yield Aim(
        f"an event costs as much at {runs[0].payments:,} payments, within a tenth",
        _each(costs),
        max(costs) <= FLAT,
        "windows and programmes come to hold their days (half a year), and the tree of what has left memory grows; "
        "between the two moments compared lies half an hour, in which a machine of which others have a share becomes "
        "another",
    )
    yield Aim(
        "and takes no more memory",
        _each(memory),
        max(memory) <= FLAT,
        "what is hot lies in memory a second time while a snapshot of it is written",
    )


def warm() -> Iterator[Aim]:
    """How soon a partition that holds much is in other hands."""
    if (kept := takeover.kept()) is None:
        return
    found = kept.found
    yield Aim(
        f"a partition with {found.open:,} open payments taken over in {TAKE_OVER_SECONDS} s",
        f"{found.after_kill:.1f} s",
        found.after_kill < TAKE_OVER_SECONDS,
        f"from the fence on it takes {found.after_fence:.1f} s of that; before it, the dead one's session ends",
    )


def _each(figures: Iterable[float]) -> str:
    return ", ".join(f"{figure:.2f}" for figure in figures)


def long_run(found: long.Long, *before: long.Long) -> Iterator[str]:
    """What a run of its own said of a million payments, and in short what those before it did."""
    yield from ("", f"## {found.payments:,} payments", "")
    yield (
        f"A run of its own (`python -m tests.bench.long`, {found.date}, commit `{found.commit[:12]}`, "
        f"{found.machine}): {found.payments:,} payments over {found.days:,} days on the embedded log, "
        f"{found.events:,} events, {found.payments_per_second:,.0f} payments a second from the first request to the "
        f"digest. In the last tenth of the log an event costs {found.flatness:.2f} of what it costs in the second one "
        f"(the first has the start in it); the most memory of the second half is {found.growth:.2f} of the most of the "
        "first."
    )
    for run in before:
        yield f"A run before it, of commit `{run.commit[:12]}`, found {run.flatness:.2f} and {run.growth:.2f}."
    yield from (
        "",
        "| tenth of the log | µs an event, wall | µs of processors | deciding, MiB | projecting, MiB |",
    )
    yield "|---:|---:|---:|---:|---:|"
    for number, one in enumerate(found.tenths, 1):
        yield (
            f"| {number} | {one.wall_us:,.1f} | {one.processor_us:,.1f} "
            f"| {one.deciding_mib:,.0f} | {one.others_mib:,.0f} |"
        )


def taken_over(kept: takeover.Kept) -> Iterator[str]:
    """What a run of its own said of a partition that changes hands."""
    found = kept.found
    yield from ("", f"## A partition with {found.open:,} open payments is taken over", "")
    yield (
        f"A run of its own (`python -m tests.bench.takeover --kafka --keep`, {kept.date}, commit "
        f"`{kept.commit[:12]}`, {kept.machine}): {found.payments:,} payments, to be captured by hand, {found.open:,} "
        "of which are authorized and stay open, each with a card of its own, on a broker and in one partition. Its "
        f"worker is killed; {found.after_kill} s later the one that kept it warm has committed, six of which are the "
        f"group's session. From the fence on it took {found.after_fence} s, with {found.folded:,} events to fold. "
        f"Before that it held {found.heir_mib:,} MiB."
    )


def _authorizations(figures: Mapping[str, Any]) -> Iterator[str]:
    peers = figures["peers"]
    yield from ("", "## Authorizations", "")
    compared = min(run["compared"] for runs in peers.values() for run in runs)
    yield (
        f"The same payments through all; at least {compared:,} outcomes of every run were compared with ours one by "
        f"one, and {figures['outcomes_that_differ']} differ."
    )
    yield from ("", "| system | guarantee | payments a second | ours over it | p50 | p99 |")
    yield "|---|---|---:|---:|---:|---:|"
    alone = figures["path_alone"]
    for name, (title, guarantee) in TITLES.items():
        best = fastest(peers[name])
        half = at_half(best)
        ratio = 1.0 if name == OURS else over(figures, peers, name)
        yield (
            f"| {title} | {guarantee} | {best['rate']:,.0f} | {ratio:.2f} "
            f"| {half['p50_ms']:,.0f} ms | {half['p99_ms']:,.0f} ms |"
        )
    yield from (
        "",
        "Latencies at half of each system's own rate, open loop: from the moment at which a request was",
    )
    yield "to be sent to the moment at which its outcome was read committed. Each system in its fastest tuning."
    if beside := figures.get("ours_beside"):
        rates = (
            f"{TITLES[name][0]} {before:,.0f} and {behind:,.0f}" for name, (before, behind) in beside.items()
        )
        yield from (
            "",
            "A machine changes meanwhile, so each is held against ours right before and right behind it:",
        )
        yield f"{', '.join(rates)}."
    ratios = (f"{alone_over(figures, peers, name):.2f} of {TITLES[name][0]}" for name in NAMES[1:])
    yield from (
        "",
        "Beside ours a projector, bank and clearing house work meanwhile, beside the peers nothing does. Without",
        f"them, the path alone takes {alone['rate']:,.0f} payments a second: {', '.join(ratios)}.",
    )
    yield (
        "The projector gives way to whoever decides: until all of the burst is projected, too, it is "
        f"{figures['projected_per_second']:,.0f} a second."
    )
    yield from ("", "![Load and latency](benchmark/load-and-latency.png)", "")
    yield "All tunings; processor time is that of the deciding processes, without broker and network."
    yield from ("", "| system | tuning | settings | a second | core µs a payment | p99 at half | repeated |")
    yield "|---|---|---|---:|---:|---:|---:|"
    for name, (title, _) in TITLES.items():
        for run in [*peers[name], *([alone] if name == OURS else [])]:
            yield (
                f"| {title} | {run['tuning']} | {run['settings']} | {run['rate']:,.0f} "
                f"| {run['budget_us'][DECIDING]:,.0f} | {at_half(run)['p99_ms']:,.0f} ms | {run['repeated']} |"
            )


def budget(figures: Mapping[str, Any]) -> Iterator[str]:
    """Where a payment's processor time goes, and how much of it a target would leave."""
    budgets = {name: fastest(figures["peers"][name])["budget_us"] for name in TITLES}
    ours, second = budgets[OURS], figures["cores"] * 1_000_000
    sums = [sum(budget.values()) for budget in budgets.values()]
    yield from ("", "## What the cores are spent on", "")
    yield "Microseconds of a core for a payment, in the burst of each system's fastest tuning."
    yield from ("", f"| | {' | '.join(title for title, _ in TITLES.values())} |", "|---|---:|---:|---:|---:|")
    yield from (_row(part, [budget.get(part, 0) for budget in budgets.values()]) for part in ours)
    yield _row("all", sums)
    yield _row("payments a second, were the cores spent on nothing else", [second / one for one in sums])
    given = second / TARGET
    outside = _outside(ours)
    codec = figures["floor_codec_us"]
    left = given - outside - codec
    yield from (
        "",
        f"At {TARGET:,} payments a second {figures['cores']} cores have {given:,.0f} µs for one. Broker,",
    )
    yield f"line to the networks and whoever asks take {outside:,.0f} of them, the codec of its records {codec:,.0f}:"
    yield (
        f"{left:,.0f} are left to decide and to project."
        if left > 0
        else f"{-left:,.0f} more than there are, before anything is decided or projected."
    )
    yield f"All that is done for one takes {sum(ours.values()) / given:.1f} times as many cores."
    yield from _in_open_loops(fastest(figures["peers"][OURS]), figures["cores"])


def _outside(budget: Mapping[str, float]) -> float:
    """What is neither decided nor projected, and would be there for any system."""
    return sum(taken for part, taken in budget.items() if part not in (DECIDING, PROJECTING, COUNTERPARTIES))


def _in_open_loops(run: Mapping[str, Any], cores: int) -> Iterator[str]:
    """What a payment takes where requests come one by one, and how busy that keeps the machine."""
    loads = run["loads"]
    budgets = [run["budget_us"], *(load["budget_us"] for load in loads)]
    sums = [sum(one.values()) for one in budgets]
    shares = " | ".join(f"at {load['share']:.0%} of its rate" for load in loads)
    yield from ("", "Where requests come at a rate, batches are smaller, and a payment of ours takes more:")
    yield from ("", f"| | in the burst | {shares} |", f"|---|{'---:|' * len(budgets)}")
    yield from (_row(part, [one[part] for one in budgets]) for part in run["budget_us"])
    yield _row("all", sums)
    busy = " | ".join(f"{_busy(load):.1f}" for load in loads)
    yield f"| cores kept busy beside the projector, of {cores} | | {busy} |"
    yield from (
        "",
        "What waits for a core is latency. The projector takes what is left, and goes on behind the last answer.",
    )


def _busy(load: Mapping[str, Any]) -> float:
    """How many cores an open loop keeps busy, but for what gives way."""
    taken: float = sum(taken for part, taken in load["budget_us"].items() if part != PROJECTING)
    return float(load["offered"]) * taken / 1e6


def _row(what: str, values: Sequence[float]) -> str:
    return f"| {what} | {' | '.join(f'{value:,.0f}' for value in values)} |"


def _floor(figures: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## The floor", "")
    yield (
        f"A payment is {figures['records_read_per_payment']} records that a worker reads and "
        f"{figures['records_written_per_payment']} that it writes "
        f"({figures['bytes_read_per_payment']:,} and {figures['bytes_written_per_payment']:,} bytes). Read, decoded, "
        f"encoded and written in transactions with nothing decided, that is {figures['floor_per_second']:,.0f} "
        f"payments a second in one process, of which one worker reaches {figures['ratio_floor']:.0%}; the codec alone "
        f"takes {figures['floor_codec_us']} µs a payment."
    )


def _parts(figures: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## Where the rest goes", "")
    yield (
        f"A payment's whole life is {figures['events_per_payment']} events. Engines, publisher and simulated outside "
        f"on the log in memory take {figures['engine_us_per_payment']:,} µs of a core for it; by samples:"
    )
    yield from ("", "| part | share | µs a payment |", "|---|---:|---:|")
    for part, share in figures["engine_shares"].items():
        yield f"| {part} | {share:.1%} | {share * figures['engine_us_per_payment']:,.0f} |"


def _recovery(told: Mapping[str, Any]) -> Iterator[str]:
    yield from ("", "## A kill and its recovery", "")
    yield (
        f"{told['payments']:,} payments at {told['rate']:,.0f} a second; the only worker is killed at "
        f"{told['killed_at']} s. For {told['silent_seconds']} s no outcome comes (the group waits six seconds for the "
        f"dead one); {told['recovered_seconds']} s after the kill everybody is answered as fast as before. Each "
        f"payment has one outcome, {told['repeated']} have two."
    )
    yield from ("", "![Kill and recovery](benchmark/kill-and-recovery.png)")
