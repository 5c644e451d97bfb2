"""The plots of ``docs/fraud-model.md``: ``.venv-bench/bin/python tests/bench/fraudplots.py FOLDER CURVES...``.

``tallystick model evaluate --curves FILE`` writes the curves of one kind of model. Like ``plots.py`` this runs in the
peers' environment, which has matplotlib, and imports nothing of ours.
"""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib

# Not SVG: its namespaces are addresses of hosts, which the tree is kept free of.
matplotlib.use("agg")
matplotlib.rcParams.update({"font.size": 9, "savefig.dpi": 110})

import matplotlib.pyplot as plt  # noqa: E402 - the backend is chosen first

SIZE = (7.0, 3.4)
#: Features whose drift is drawn; the others lie below them.
DRAWN = 5


def precision_recall(figures: list[dict[str, Any]], path: Path) -> None:
    """Of the payments above a threshold, how many are fraud; against how many of the frauds are above it."""
    _, axes = plt.subplots(figsize=SIZE)
    for one in figures:
        axes.plot(range(1, 101), [100 * share for share in one["precision"]], label=one["kind"])
    axes.set(xlabel="frauds found, per cent", ylabel="of those above are fraud, per cent", ylim=(0, 102))
    axes.legend(frameon=False)
    keep(path)


def gains(figures: list[dict[str, Any]], path: Path) -> None:
    """The frauds among the payments that rank highest."""
    _, axes = plt.subplots(figsize=SIZE)
    for one in figures:
        shares = [share / 1_000 for share in one["gains_at"]]
        axes.plot(shares, [100 * share for share in one["gains"]], marker="o", ms=3, label=one["kind"])
    axes.plot(shares, shares, color="grey", lw=0.8, ls=":", label="by chance")
    axes.set(xscale="log", xlabel="of all payments, per cent", ylabel="of all frauds, per cent")
    axes.legend(frameon=False)
    keep(path)


def log_odds(figures: list[dict[str, Any]], path: Path) -> None:
    """Where the payments of each kind lie."""
    _, rows = plt.subplots(1, len(figures), figsize=SIZE, sharey=True, squeeze=False)
    for axes, one in zip(rows[0], figures, strict=True):
        lefts = [one["odds"][0] - 1, *one["odds"]]
        for kind, color in (("genuine", "C0"), ("frauds", "C3")):
            axes.bar(lefts, one[kind], width=1, align="edge", color=color, alpha=0.6, label=kind)
        axes.set(yscale="log", xlabel=f"log-odds, {one['kind']}")
        axes.legend(frameon=False)
    rows[0][0].set(ylabel="payments")
    keep(path)


def drift(figures: list[dict[str, Any]], path: Path) -> None:
    """The stability index week by week, of what moved furthest, and of the score."""
    one = figures[0]
    moved = one["drift_by_week"]
    names = sorted((name for name in moved if name != "score"), key=lambda name: -max(moved[name]))
    _, axes = plt.subplots(figsize=SIZE)
    for name in (*names[:DRAWN], "score"):
        weeks = range(1, len(moved[name]) + 1)
        axes.plot(weeks, moved[name], marker="o", ms=3, label=name, ls="--" if name == "score" else "-")
    axes.axhline(0.1, color="grey", lw=0.8, ls=":")
    axes.set(xlabel="week behind the labels", ylabel="stability index", ylim=(0, None))
    axes.legend(frameon=False, fontsize=7)
    keep(path)


def keep(path: Path) -> None:
    """Write one plot; without dates, so that the same figures are the same bytes."""
    plt.tight_layout()
    plt.savefig(path, metadata={"Software": None})
    plt.close()


def main(folder: Path, files: list[Path]) -> None:
    """All of them."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = [json.loads(path.read_text("utf-8")) for path in files]
    for draw in (precision_recall, gains, log_odds, drift):
        draw(figures, folder / f"{draw.__name__}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(argument) for argument in sys.argv[2:]])
