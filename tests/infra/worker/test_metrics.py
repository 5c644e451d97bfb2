"""The metrics and their catalogue say the same, and no label can grow without end."""

import json
import re
import time

import pytest
from prometheus_client.parser import text_string_to_metric_families

from events.errors import Refused
from infra.docs import metric_page
from infra.worker.catalogue import ALERTS, BY_NAME, CATALOGUE, NETWORKS, Alert, Kind, Metric
from infra.worker.metrics import OTHER, Metrics
from tests.infra.worker.stand_ins import Counts, Follows, Hosts, StandIn

#: What every label may be, beside what the house has: a value that is none of these is a mistake.
BOUNDED = {"index", "topic", "network", "outcome", "reason", "alert"}


def families(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float]]:
    """What Prometheus makes of it: by sample name, the values by label values."""
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sample.labels.values())] = sample.value
    return found


@pytest.fixture
def metrics() -> Metrics:
    """Of a worker that owns index 0 of two."""
    made = Metrics()
    engine = StandIn()
    engine.hosted = {0: Hosts(statistics=Counts(last_commit_at=time.monotonic() - 60))}
    engine.standing_by = {0: Follows()}
    made.lags = {"payments.requests": 5}
    made.read(engine, 2, lambda: "")
    return made


def test_the_engine_is_read_when_prometheus_asks(metrics: Metrics) -> None:
    """Every figure of the engine stands where the catalogue says."""
    found = families(metrics)
    assert {(): 1.0} == found["tallystick_ready"]
    assert ({(): 2.0}, {(): 1.0}) == (found["tallystick_partitions"], found["tallystick_indexes"])
    assert {("payments.requests",): 5.0} == found["tallystick_lag_records"]
    assert {("0",): 6.0} == found["tallystick_tick"]
    assert 60 <= found["tallystick_commit_age_seconds"][("0",)] < 120
    of_index = {
        name: values[("0",)]
        for name, values in found.items()
        if BY_NAME.get(name, CATALOGUE[0]).labels == ("index",)
    }
    of_standby = found_of_standby(metrics)
    assert {
        "tallystick_tick": 6,
        "tallystick_open_attempts": 2,
        "tallystick_transactions_total": 3,
        "tallystick_inputs_total": 30,
        "tallystick_events_total": 40,
        "tallystick_requests_total": 10,
        "tallystick_decide_seconds_total": 0.5,
        "tallystick_commit_seconds_total": 0.25,
        "tallystick_restore_seconds": 1.5,
        "tallystick_restored_events": 1_000,
        "tallystick_first_commit_seconds": 2.5,
        "tallystick_restored_warm": 1,
    } == {
        name: value
        for name, value in of_index.items()
        if name not in ("tallystick_commit_age_seconds", *of_standby)
    }


def test_a_standby_is_read_as_well() -> None:
    """How far it is behind, and whether it was lost, by index; nothing where there is none."""
    made, engine = Metrics(), StandIn()
    made.read(engine, 3, lambda: "")
    assert {} == found_of_standby(made)
    engine.standing_by = {1: Follows(), 2: Follows(0, 90.0, 7, "it differs")}
    assert {
        "tallystick_standby_lag_records": {("1",): 12, ("2",): 0},
        "tallystick_standby_lag_seconds": {("1",): 1.5, ("2",): 90},
        "tallystick_standby_events_total": {("1",): 500, ("2",): 7},
        "tallystick_standby_lost": {("1",): 0, ("2",): 1},
    } == found_of_standby(made)


def found_of_standby(metrics: Metrics) -> dict[str, dict[tuple[str, ...], float]]:
    """What is said of standbys."""
    return {name: values for name, values in families(metrics).items() if "standby" in name}


def test_every_metric_of_the_catalogue_is_there(metrics: Metrics) -> None:
    """With a label value each, all of them are served, and nothing else but Prometheus's own of the process."""
    for metric in CATALOGUE:
        labels = dict.fromkeys(metric.labels, "x")
        match metric.kind:
            case _ if metric.read:
                pass
            case Kind.COUNTER:
                metrics.count(metric.name, **labels)
            case Kind.GAUGE:
                metrics.set(metric.name, 1, **labels)
            case Kind.HISTOGRAM:
                metrics.observe(metric.name, [0.1], **labels)
    served = {family.name: family for family in text_string_to_metric_families(metrics.text().decode())}
    ours = {name for name in served if not name.startswith("process_")}
    assert {metric.name.removesuffix("_total") for metric in CATALOGUE} == ours
    for metric in CATALOGUE:
        family = served[metric.name.removesuffix("_total")]
        assert (metric.kind, metric.meaning) == (family.type, family.documentation)
        assert set(metric.labels) == set().union(*(sample.labels for sample in family.samples)) - {"le"}


def test_a_worker_that_is_not_ready_says_so() -> None:
    """Before the first commit there is no age of it."""
    metrics = Metrics()
    metrics.read(StandIn(), 2, lambda: "restoring index 0")
    found = families(metrics)
    assert {(): 0.0} == found["tallystick_ready"]
    assert "tallystick_commit_age_seconds" not in found


def test_networks_are_bounded() -> None:
    """Reference data may bring any number of them; the first ones keep their labels."""
    metrics = Metrics()
    for number in range(NETWORKS + 5):
        metrics.count("tallystick_authorizations_total", 2, network=f"n{number}", outcome="approved")
    metrics.count("tallystick_authorizations_total", network="n0", outcome="timed_out")
    values = families(metrics)["tallystick_authorizations_total"]
    assert {network for network, _ in values} == {f"n{number}" for number in range(NETWORKS)} | {OTHER}
    assert (10, 1) == (values[OTHER, "approved"], values["n0", "timed_out"])


def test_the_catalogue_is_one_that_prometheus_takes() -> None:
    """Names, labels and units as Prometheus has them."""
    for metric in CATALOGUE:
        assert re.fullmatch(r"tallystick_[a-z_]+", metric.name)
        assert metric.name.endswith("_total") == (metric.kind is Kind.COUNTER), metric.name
        assert set(metric.labels) <= BOUNDED
        assert metric.meaning.endswith(".")
    for alert in ALERTS:
        assert re.fullmatch(r"Tallystick[A-Za-z]+", alert.name)
        assert alert.severity in ("page", "ticket")
        assert re.fullmatch(r"\d+m", alert.lasting)
        asked = set(re.findall(r"tallystick_[a-z_]+", alert.expression))
        assert asked <= BY_NAME.keys()
        for name, label in re.findall(r"(tallystick_[a-z_]+)\{(\w+)", alert.expression):
            assert label in BY_NAME[name].labels
        assert alert.expression.count("(") == alert.expression.count(")")


def test_the_rules_can_be_read() -> None:
    """Every rule has the keys that Prometheus asks for, each text is one line that JSON, and so YAML, can read."""
    lines = metric_page.rules().splitlines()
    assert ["groups:", "  - name: tallystick", "    rules:"] == lines[1:4]
    keys = "alert expr for labels severity annotations summary action".split()
    rules = [
        dict(_entry(line) for line in lines[at : at + len(keys)]) for at in range(4, len(lines), len(keys))
    ]
    assert [list(rule) for rule in rules] == [keys] * len(ALERTS)
    assert [(alert.name, alert.expression, alert.action) for alert in ALERTS] == [
        (rule["alert"], rule["expr"], rule["action"]) for rule in rules
    ]


def _entry(line: str) -> tuple[str, str]:
    key, colon, value = line.strip().removeprefix("- ").partition(":")
    assert colon
    value = value.strip()
    return key, json.loads(value) if value.startswith('"') else value


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        (CATALOGUE[0], "has a name twice"),
        (
            Metric(
                "tallystick_x",
                Kind.GAUGE,
                (),
                "",
                "X.",
                alerts=(Alert("A", "tallystick_y > 1", "1m", "page", "", ""),),
            ),
            "the alert A does not ask for tallystick_x",
        ),
    ],
)
def test_a_catalogue_that_contradicts_itself_is_refused(
    metric: Metric, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies a row has to change all of it."""
    monkeypatch.setattr(metric_page, "CATALOGUE", (*CATALOGUE, metric))
    with pytest.raises(Refused, match=said):
        metric_page.text()
