"""The whole house on a real broker: the same money as in one process, whoever shares the work.

Whoever dies, freezes or is cut off meanwhile: ``test_torture``.
"""

from contextlib import closing
from pathlib import Path

import pytest

from streams.forensics.digests import state_digest
from streams.forensics.replay import verify
from streams.hosts.kafkalog import KafkaLog
from tests.integration.houses import calm_digest, new_job, run_house


@pytest.fixture(scope="session")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that has the input and the calm run's keys."""
    return tmp_path_factory.mktemp("day")


@pytest.mark.parametrize(("partitions", "workers", "batch"), [(1, 2, 3), (4, 1, 64), (4, 2, None)])
def test_the_digests_do_not_depend_on_who_shares_the_work(
    kafka: str, tmp_path: Path, day: Path, partitions: int, workers: int, batch: int | None
) -> None:
    ran = run_house(new_job(kafka, tmp_path, partitions=partitions, workers=workers, batch=batch))
    assert ran.digest == calm_digest(day)
    assert ran.restarted == []
    with closing(KafkaLog(ran.job.cluster)) as log:
        found = verify(log)
    assert state_digest(found.summaries) == ran.digest
    assert found.partitions == partitions
