"""The plots of ``docs/benchmark.md``, from ``bench.json``: ``.venv-bench/bin/python tests/bench/plots.py JSON FOLDER``.

It runs in the peers' environment, which has matplotlib, and imports nothing of ours. A plot whose figures are missing
is left out.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

# Not SVG: its namespaces are addresses of hosts, which the tree is kept free of.
matplotlib.use("agg")
matplotlib.rcParams.update({"font.size": 9, "savefig.dpi": 130})

import matplotlib.pyplot as plt  # noqa: E402 - the backend is chosen first
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter  # noqa: E402

NAMES = {
    "tallystick": "Tallystick",
    "faust": "Faust (at least once)",
    "quix": "Quix Streams",
    "kafka_streams": "Kafka Streams",
}
SIZE = (7.0, 3.6)
#: Events of one point of the cost curve.
STEP_EVENTS = 40_000


def load_and_latency(figures: dict[str, Any], path: Path) -> None:
    """What a system answers, and how late, in each tuning: the 99th of a hundred at three loads."""
    _, axes = plt.subplots(figsize=SIZE)
    for number, (name, label) in enumerate(NAMES.items()):
        runs = sorted(figures["peers"].get(name, ()), key=lambda run: -run["rate"])
        for place, run in enumerate(runs):
            loads = run["loads"]
            axes.plot(
                [one["share"] * run["rate"] for one in loads],
                [one["p99_ms"] for one in loads],
                marker="o",
                color=f"C{number}",
                alpha=1.0 if place == 0 else 0.35,
                label=f"{label}, {run['tuning']}" if place == 0 else None,
            )
    axes.set(xscale="log", yscale="log", xlabel="payments a second, open loop", ylabel="p99, ms")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        axis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False)
    keep(path)


def cost_and_length(figures: dict[str, Any], path: Path) -> None:
    """What an event costs while the log grows, in the largest run on the embedded log."""
    lengths, costs = [], []
    began, before = figures["log_along"][0]
    for seconds, events in figures["log_along"]:
        if before == 0 and events > 0:
            began, before = seconds, events
        elif events - before >= STEP_EVENTS:
            lengths.append(events / 1_000)
            costs.append((seconds - began) / (events - before) * 1e6)
            began, before = seconds, events
    _, axes = plt.subplots(figsize=SIZE)
    axes.plot(lengths, costs, marker="o")
    axes.set(
        xlabel="events in the log, thousands", ylabel="microseconds an event, wall clock", ylim=(0, None)
    )
    keep(path)


def kill_and_recovery(figures: dict[str, Any], path: Path) -> None:
    """Outcomes a second around the kill of the only worker."""
    told = figures["recovery"]
    rates = told["outcomes_per_second"]
    _, axes = plt.subplots(figsize=SIZE)
    axes.step([step * told["step_seconds"] for step in range(len(rates))], rates, where="post")
    axes.axhline(told["rate"], color="C2", linestyle=":", label="requests")
    axes.axvline(told["killed_at"], color="C3", label="kill -9")
    axes.set(xlabel="seconds", ylabel="outcomes a second")
    axes.legend(frameon=False)
    keep(path)


def keep(path: Path) -> None:
    """Write the plot at hand."""
    plt.tight_layout()
    plt.savefig(path, metadata={"Software": None})
    plt.close()


PLOTS = {
    "load-and-latency.png": ("peers", load_and_latency),
    "cost-and-length.png": ("log_along", cost_and_length),
    "kill-and-recovery.png": ("recovery", kill_and_recovery),
}

if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    for name, (needed, draw) in PLOTS.items():
        if given.get(needed):
            draw(given, Path(sys.argv[2]) / name)
