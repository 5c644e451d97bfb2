"""The whole house on a real broker: the same money as in one process, whoever shares the work.

Whoever dies, freezes or is cut off meanwhile: ``test_torture``.
"""

from contextlib import closing
from pathlib import Path

import pytest

from streams.forensics.digests import state_digest
from streams.forensics.replay import verify
from streams.hosts.kafkalog import KafkaLog
from tests.integration.houses import books_of, calm, new_job, run_house
from tests.torture.calm import verdicts_digest


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the input and the calm run's keys."""
    return tmp_path_factory.mktemp("day")


@pytest.mark.parametrize(("partitions", "workers", "batch"), [(1, 2, 3), (4, 1, 64), (4, 2, None)])
def test_the_digests_do_not_depend_on_who_shares_the_work(
    kafka: str, tmp_path: Path, day: Path, partitions: int, workers: int, batch: int | None
) -> None:
    """State, ledger, every verdict with its vector, every dispute; and each cent is at its one place."""
    ran = run_house(new_job(kafka, tmp_path, partitions=partitions, workers=workers, batch=batch))
    expected = calm(day)
    assert ran.digest == expected.state_digest
    assert ran.complaints == []
    figures, disputes = books_of(ran.job)
    assert figures.ledger_digest == expected.ledger_digest
    assert (figures.counts.ledger_imbalance, figures.counts.open_clearing_residuals) == (0, 0)
    assert figures.counts.money_unplaced == 0
    assert disputes == expected.disputes
    # Not a day without any: for one of them evidence was sent, and it went on to the next stage all the same.
    assert {(case.stage, case.evidence) for case in disputes} == {("chargeback", 0), ("pre_arbitration", 1)}
    assert all(case.at_stake == case.held_by_network == 0 for case in disputes)
    with closing(KafkaLog(ran.job.cluster)) as log:
        assert verdicts_digest(log, partitions) == expected.verdicts_digest
        found = verify(log)
    assert state_digest(found.summaries) == ran.digest
    assert found.partitions == partitions
