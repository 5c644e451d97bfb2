"""An index is had back in all the ways that the benchmark times."""

from tests.bench.takeover import measured


def test_every_way_to_have_an_index_back_is_taken() -> None:
    """Each raises where it was not the way that it is timed as: from its log, from a snapshot, from a standby."""
    found = measured(300)
    assert 200 < found.open <= found.payments == 300
    assert found.events > 10 * found.payments
    assert found.snapshot_mib > 0
