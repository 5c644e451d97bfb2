"""Houses that are hurt in every way that is known here, a little: `make torture` does it for as long as you like."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pytest

from tests.torture.cluster import Cluster
from tests.torture.command import SHORT
from tests.torture.planting import DEFECTS, catch
from tests.torture.rounds import Order, torture

#: Printed with every failure; another one is another torture.
SEED: Final = 7
PAYMENTS: Final = 40


@pytest.fixture(scope="module")
def order(tmp_path_factory: pytest.TempPathFactory) -> Order:
    """What every round has in common: its input and the calm run."""
    return Order(PAYMENTS, SEED, 1, tmp_path_factory.mktemp("torture"))


@pytest.fixture(scope="module")
def brokers(order: Order) -> Iterator[Cluster]:
    """A broker of their own, which is hurt too."""
    with Cluster(order.folder / "kafka", 1) as made:
        yield made


@pytest.mark.parametrize("name", SHORT)
def test_nothing_comes_of(name: str, brokers: Cluster, order: Order, machine: dict[str, str]) -> None:
    """Every payment has its one outcome, the books balance, and in virtual time all is as in the calm run."""
    found = torture(order, brokers, SHORT[name], print)
    assert [] == found.complaints
    assert found.blows


def test_what_is_planted_is_caught(brokers: Cluster, order: Order, machine: dict[str, str]) -> None:
    """The verdict can fail: one defect gives itself away here, the long form plants all five."""
    (defect,) = (defect for defect in DEFECTS if defect.name == "state-before-commit")
    # With what was lost the house may come to its end, or wait for it for ever.
    found = catch(defect, replace(order, patience=60.0), brokers, print)
    assert [line for line in found.complaints if line.startswith("the auditor: ")]
