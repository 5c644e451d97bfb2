"""How good a ranking is, what its margins mean in per cent, and how far data have moved since training."""

from collections.abc import Sequence
from math import log
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from streams.features.logistic import log_odds
from streams.features.models import HIGHEST, LOWEST, MARKS, Shares

Whole = NDArray[np.int64]
Truth = NDArray[np.bool_]

SHARES: Final = 10
"""Into how many parts of about equal weight a feature is cut to see it drift."""
FEWEST_FRAUDS: Final = 50
"""With fewer there is nothing to calibrate on."""


def auc_roc(frauds: Truth, margins: Whole) -> float:
    """How often a fraud ranks above a genuine payment; ties count half."""
    true, false = _by_rank(frauds, margins)
    positives, negatives = int(true[-1]), int(false[-1])
    if positives == 0 or negatives == 0:
        return float("nan")
    below_true, below_false = np.append(0, true[:-1]), np.append(0, false[:-1])
    twice = int(((true + below_true) * (false - below_false)).sum())
    return twice / (2 * positives * negatives)


def average_precision(frauds: Truth, margins: Whole) -> float:
    """The precision at each margin, weighted by the frauds found there."""
    true, false = _by_rank(frauds, margins)
    if true[-1] == 0:
        return float("nan")
    found = np.diff(true, prepend=0)
    return float((found * (true / (true + false))).sum() / true[-1])


def _by_rank(frauds: Truth, margins: Whole) -> tuple[Whole, Whole]:
    """Frauds and genuine payments at or above each margin, the highest margin first."""
    order = np.argsort(-margins, kind="stable")
    ranked, truth = margins[order], frauds[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    true = np.cumsum(truth, dtype=np.int64)[ends]
    return true, ends.astype(np.int64) + 1 - true


def card_precision(days: Whole, cards: Whole, frauds: Truth, margins: Whole, top: int = 100) -> float:
    """Of the ``top`` cards of a day, by highest margin, how many had a fraud that day: the mean over days.

    A card that was found leaves the pool. Of cards with the same margin the one with the lower number goes first.
    """
    found: set[int] = set()
    shares = []
    for day in np.unique(days):
        today = np.flatnonzero(days == day)
        best: dict[int, int] = {}
        defrauded: set[int] = set()
        columns = zip(cards[today].tolist(), margins[today].tolist(), frauds[today].tolist(), strict=True)
        for card, margin, fraud in columns:
            if card in found:
                continue
            best[card] = max(margin, best.get(card, margin))
            if fraud:
                defrauded.add(card)
        first = sorted(best, key=lambda card: (-best[card], card))[:top]
        hits = defrauded.intersection(first)
        found |= hits
        shares.append(len(hits) / top)
    return sum(shares) / len(shares)


# --- what a margin means ---------------------------------------------------------------------------------


class Block(NamedTuple):
    """Payments from ``margin`` on, up to the next block, of which ``frauds`` in ``payments`` were fraud."""

    margin: int
    frauds: int
    payments: int


def isotonic(frauds: Truth, margins: Whole) -> list[Block]:
    """The best fit of a fraud rate that never falls with the margin: pool what falls until nothing does."""
    levels, places, payments = np.unique(margins, return_inverse=True, return_counts=True)
    bad = np.bincount(places, frauds, len(levels)).astype(np.int64)
    blocks: list[Block] = []
    for block in map(Block, levels.tolist(), bad.tolist(), payments.tolist()):
        while blocks and blocks[-1].frauds * block.payments >= block.frauds * blocks[-1].payments:
            block = _pooled(blocks.pop(), block)
        blocks.append(block)
    return blocks


def _pooled(low: Block, high: Block) -> Block:
    return Block(low.margin, low.frauds + high.frauds, low.payments + high.payments)


def plain_marks() -> tuple[int, ...]:
    """Marks for margins that are taken at their word: score s from the log-odds of s - 1/2 per cent on."""
    return tuple(log_odds(2 * score - 1, 2 * MARKS) for score in range(1, MARKS + 1))


def calibrated_marks(frauds: Truth, margins: Whole) -> tuple[int, ...]:
    """Marks by which, of the payments with score s, about s in 100 are fraud.

    Made on payments that the model has not been trained on. A score that no such payment reaches begins where the
    margin's own word puts it, but not below the marks before.
    """
    plain = plain_marks()
    if int(frauds.sum()) < FEWEST_FRAUDS:
        return plain
    blocks = isotonic(frauds, margins)
    marks: list[int] = []
    place = 0
    for score in range(1, MARKS + 1):
        while (
            place < len(blocks)
            and 2 * MARKS * blocks[place].frauds < (2 * score - 1) * blocks[place].payments
        ):
            place += 1
        begins = blocks[place].margin if place < len(blocks) else plain[score - 1]
        marks.append(max(begins, marks[-1] if marks else LOWEST))
    return tuple(min(mark, HIGHEST) for mark in marks)


# --- drift -----------------------------------------------------------------------------------------------


def shares_of(values: Whole, parts: int = SHARES) -> Shares:
    """Edges that cut values into parts of about equal weight, and how many fell into each."""
    ordered = np.sort(values)
    cuts = ordered[np.arange(1, parts) * len(ordered) // parts]
    edges = np.unique(cuts[cuts > ordered[0]])
    return Shares(tuple(edges.tolist()), counts_of(edges, values))


def counts_of(edges: Sequence[int] | Whole, values: Whole) -> tuple[int, ...]:
    """How many values fall between edges; part i begins with edge i - 1."""
    places = np.searchsorted(np.asarray(edges, np.int64), values, side="right")
    counts: list[int] = np.bincount(places, minlength=len(edges) + 1).tolist()
    return tuple(counts)


def stability(expected: Sequence[int], found: Sequence[int]) -> float:
    """The population stability index of two counts of the same parts: 0 the same, above .25 another world.

    Half a payment is added to every part, so that an empty one is far away and not infinitely far.
    """
    total, seen = sum(expected) + len(expected) / 2, sum(found) + len(found) / 2
    index = 0.0
    for before, now in zip(expected, found, strict=True):
        share, then = (now + 0.5) / seen, (before + 0.5) / total
        index += (share - then) * log(share / then)
    return index
