"""A worker on a broker: started, asked, watched, stopped. Its engine is a stand-in but in the last tests."""

import asyncio
import gc
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import msgspec
import pytest
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from prometheus_client.parser import text_string_to_metric_families

from events.errors import Broken, Refused, Unavailable
from events.identity import SLOTS, card_id, payment_id
from infra.kafka.broker import start, stop
from infra.kafka.topics import create
from infra.worker import alerts
from infra.worker.alerts import Alert, Kind, State, Thresholds
from infra.worker.clock import ClockGuard
from infra.worker.host import Serving, serve
from infra.worker.samples import Sample, histogram
from streams.hosts.cluster import Cluster
from tests.infra.worker.stand_ins import StandIn
from tests.integration.outsiders import until_empty
from tests.patience import PATIENCE_SECONDS

ROOT: Final = Path(__file__).resolve().parents[2]
#: Stopped while it joins or fetches, Faust now and then forgets a connection, with its socket, transport and stream;
#: the process ends anyway.
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{forgotten}:ResourceWarning")
    for forgotten in (
        "Unclosed AIOKafkaConnection",
        "unclosed <socket",
        "unclosed transport",
        "loop is closed",
    )
]
#: Nor does it always await the end of its own consumer's thread in order. The one thread that is ours hands over what
#: fails in it.
pytestmark.append(pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"))


@pytest.fixture
def cluster(kafka: str) -> Cluster:
    """A house of its own on the broker, with two partitions."""
    made = Cluster(kafka, f"test-{uuid4().hex[:8]}")
    create(kafka, made.prefix, 2)
    return made


class Served:
    """A worker of this process, as its operators see it. ``answers`` stays when it has ended."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, path: str) -> tuple[int, str]:
        """A view."""
        try:
            with urllib.request.urlopen(self.address + path, timeout=PATIENCE_SECONDS) as answer:  # noqa: S310 - ours
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def until(self, path: str, holds: Callable[[int, str], bool]) -> str:
        """What a view says as soon as it holds."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds(*(answer := self.ask(path))):
            assert time.monotonic() < deadline, answer
            time.sleep(0.05)
        return answer[1]

    def is_ready(self) -> None:
        """Return when it is."""
        self.until("/health", lambda status, _: status == 200)

    def metric(self, name: str, **labels: str) -> float:
        """A sample of /metrics; 0 where there is none yet."""
        for family in text_string_to_metric_families(self.ask("/metrics")[1]):
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """From outside, as a supervisor does."""
        os.kill(os.getpid(), number)


def hosting(serving: Serving, visit: Callable[[Served], None]) -> int:
    """What serving comes to, visited meanwhile by somebody who has to end it."""
    addresses: queue.Queue[str] = queue.Queue()
    failures: list[BaseException] = []

    def visitor() -> None:
        served = Served(addresses.get(timeout=PATIENCE_SECONDS))
        try:
            visit(served)
        except Exception as error:  # noqa: BLE001 - raised below, in the test's own thread
            failures.append(error)
            served.stop()

    thread = threading.Thread(target=visitor, daemon=True)
    thread.start()
    try:
        return serve(serving, addresses.put)
    finally:
        thread.join(PATIENCE_SECONDS)
        # What Faust has left open is to be found here, where it is forgiven, and not in somebody else's test.
        gc.collect()
        if failures:
            raise failures[0]


def serving(cluster: Cluster, state: Path, engine: StandIn, **options: Any) -> Serving:
    """A worker with a stand-in for an engine."""
    return Serving(cluster, engine.made, 2, state, **options)


def members(cluster: Cluster, group: str) -> int:
    """How many members a group has, as the broker knows."""

    async def ask() -> int:
        client = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await client.start()
        try:
            (answer,) = await client.describe_consumer_groups([cluster.topic(group)])
            return len(answer.groups[0][5])
        finally:
            await client.close()

    return asyncio.run(ask())


def until_nobody_is_left(cluster: Cluster, group: str) -> None:
    """Wait until a group is empty: on a slow machine Faust is left before it has said goodbye, and soon forgotten."""
    until_empty(cluster, cluster.topic(group))


def topics(cluster: Cluster) -> set[str]:
    """Every topic of the broker that carries the house's name."""

    async def ask() -> set[str]:
        client = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
        await client.start()
        try:
            return {name for name in await client.list_topics() if cluster.prefix in name}
        finally:
            await client.close()

    return asyncio.run(ask())


# --- from beginning to end ------------------------------------------------------------------------------


class Neighbour:
    """Something that lives beside the engine, as the schema registry does."""

    def __init__(self) -> None:
        self.life: list[str] = []

    async def start(self) -> None:
        self.life.append("start")

    async def stop(self) -> None:
        self.life.append("stop")

    async def answer(self, _: web.Request) -> web.Response:
        return web.json_response(self.life)


def test_it_serves_until_sigterm(cluster: Cluster, tmp_path: Path) -> None:
    """Views, routes of others, Faust's group joined and left, the engine settled once, no topic made, exit code 0."""
    engine, neighbour = StandIn(), Neighbour()
    before = topics(cluster)

    def visit(served: Served) -> None:
        served.is_ready()
        served.until("/metrics", lambda *_: served.metric("tallystick_faust_rebalances_total") > 0)
        assert (200, '["start"]') == served.ask("/neighbour")
        assert 404 == served.ask("/subjects")[0]
        assert {0: {"payments.requests/0": 12}} == {
            index["index"]: index["positions"]
            for index in json.loads(served.ask("/partitions")[1])["indexes"]
        }
        assert (1, 1) == (served.metric("tallystick_ready"), served.metric("tallystick_indexes"))
        assert 1 == members(cluster, "ops")
        served.stop()

    routes = [web.get("/neighbour", neighbour.answer)]
    assert 0 == hosting(serving(cluster, tmp_path, engine, beside=[neighbour], extra_routes=routes), visit)
    assert (1, ["start", "stop"]) == (engine.stops, neighbour.life)
    until_nobody_is_left(cluster, "ops")
    assert before == topics(cluster)
    assert engine.cluster is not None
    assert "worker http://127.0.0.1:" in engine.cluster.options()["client_id"]


def test_ctrl_c_interrupts(cluster: Cluster, tmp_path: Path) -> None:
    """Settled all the same; the command line makes 130 of it."""
    engine = StandIn()

    def visit(served: Served) -> None:
        served.is_ready()
        served.stop(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        hosting(serving(cluster, tmp_path, engine), visit)
    assert 1 == engine.stops


def test_a_signal_at_the_very_beginning_ends_it(cluster: Cluster, tmp_path: Path) -> None:
    """Also while Faust has not joined yet: nobody waits for that, and the group forgets who never quite joined."""
    engine = StandIn()

    def visit(served: Served) -> None:
        served.until("/health", lambda _, text: bool(text))
        served.stop()

    assert 0 == hosting(serving(cluster, tmp_path, engine), visit)
    until_nobody_is_left(cluster, "ops")


@pytest.mark.parametrize(
    "failure", [Broken("the ledger does not add up"), Unavailable("somebody else has it")]
)
def test_an_engine_that_fails_ends_the_process(failure: Exception, cluster: Cluster, tmp_path: Path) -> None:
    """With its own sentence, Faust's group left, and never a second start."""
    engine = StandIn(failure, at_once=False)

    def visit(served: Served) -> None:
        served.is_ready()
        served.until("/metrics", lambda *_: served.metric("tallystick_faust_rebalances_total") > 0)
        engine.fail()

    with pytest.raises(type(failure), match=str(failure)):
        hosting(serving(cluster, tmp_path, engine), visit)
    until_nobody_is_left(cluster, "ops")


def test_a_clock_that_is_set_ends_the_process(cluster: Cluster, tmp_path: Path) -> None:
    """And keeps it ended until somebody confirms."""
    wall = 1_800_000_000.0
    engine, guard = StandIn(), ClockGuard(tmp_path, lambda: wall, lambda: 5.0)

    def visit(served: Served) -> None:
        nonlocal wall
        served.is_ready()
        wall += 7_200

    with pytest.raises(Refused, match=r"set ahead by 7200 s.*--confirm-clock"):
        hosting(serving(cluster, tmp_path, engine, guard=guard), visit)
    with pytest.raises(Refused, match="set ahead by 7200 s"):
        ClockGuard(tmp_path).admit(confirmed=False)


def test_without_its_topics_it_does_not_begin(kafka: str, tmp_path: Path) -> None:
    """Faust would wait for them and say nothing; the sentence names the command that makes them."""
    nowhere = Cluster(kafka, "test-nowhere")
    with pytest.raises(Refused, match=r"no topic test-nowhere\.ops\.samples.*tallystick topics create"):
        serve(serving(nowhere, tmp_path, StandIn()))
    assert set() == topics(nowhere)


# --- alerts and probes ----------------------------------------------------------------------------------

QUICK: Final = Thresholds(
    window_seconds=4, least_attempts=10, patience_seconds=1, calm_seconds=1, renew_seconds=60
)


def test_an_alert_is_raised_and_over(cluster: Cluster, tmp_path: Path) -> None:
    """Planted samples of two workers make it bad, then good: what stands on ops.alerts is that story."""

    async def plant(approved: int, timed_out: int, wanted: State) -> Alert:
        producer = AIOKafkaProducer(**cluster.options())
        consumer = AIOKafkaConsumer(
            cluster.topic(alerts.TOPIC), **cluster.options(), auto_offset_reset="earliest", group_id=None
        )
        await producer.start()
        await consumer.start()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while True:
                    for worker in ("a", "b"):
                        sample = Sample(
                            worker,
                            "visa",
                            time.time_ns() // 1_000,
                            approved,
                            {},
                            timed_out,
                            latency_counts=histogram([0.1] * approved),
                        )
                        await producer.send_and_wait(
                            cluster.topic("ops.samples"), msgspec.json.encode(sample)
                        )
                    await producer.send_and_wait(cluster.topic("ops.samples"), b"no sample at all")
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        for record in records:
                            assert b"visa" == record.key
                            alert = msgspec.json.decode(record.value, type=Alert)
                            if alert.state is wanted:
                                return alert
        finally:
            await consumer.stop()
            await producer.stop()

    def visit(served: Served) -> None:
        served.until("/metrics", lambda *_: served.metric("tallystick_faust_rebalances_total") > 0)
        raised = asyncio.run(plant(2, 18, State.RAISED))
        assert (Kind.SUCCESS_RATE, "visa", 10) == (raised.alert, raised.network, raised.value)
        wanted = {"network": "visa", "alert": "success_rate"}
        assert 1 == served.metric("tallystick_network_alert", **wanted)
        over = asyncio.run(plant(200, 0, State.OVER))
        assert raised.since == over.since
        assert over.value >= 70
        served.until("/metrics", lambda *_: served.metric("tallystick_network_alert", **wanted) == 0)
        assert served.metric("tallystick_samples_folded_total", outcome="folded") > 0
        assert served.metric("tallystick_samples_folded_total", outcome="unreadable") > 0
        assert served.metric("tallystick_faust_sends_total", outcome="ok") >= 2
        served.stop()

    assert 0 == hosting(serving(cluster, tmp_path, StandIn(), thresholds={"default": QUICK}), visit)


def test_a_probe_comes_back(cluster: Cluster, tmp_path: Path) -> None:
    """Through two topics of LiveCheck's, ops.samples and the agent; the report says passed; no topic is made."""
    before = topics(cluster)

    def visit(served: Served) -> None:
        served.until("/metrics", lambda *_: served.metric("tallystick_probes_total", outcome="ok") >= 2)
        assert 0 < served.metric("tallystick_probe_seconds")
        assert 0 == served.metric("tallystick_samples_folded_total", outcome="unreadable")
        served.stop()

    options: dict[str, Any] = {"livecheck": True, "livecheck_seconds": 0.5}
    assert 0 == hosting(serving(cluster, tmp_path, StandIn(), **options), visit)
    assert before == topics(cluster)


# --- the command ----------------------------------------------------------------------------------------


@contextmanager
def process(cluster: Cluster, state: Path, *more: str) -> Iterator[tuple[subprocess.Popen[str], Served]]:
    """``tallystick worker`` on the wall's clock, with the engine itself; killed where it is still there."""
    command = [sys.executable, "-m", "infra.cli", "worker", "--log", cluster.address, "--partitions", "2"]
    command += ["--state", str(state), "--keys", str(state.parent / "keys"), *more]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            yield running, Served(running.stdout.readline().strip())
        finally:
            running.kill()


def test_two_workers_share_a_house(cluster: Cluster, tmp_path: Path) -> None:
    """Each has an index and tells of the other; one that is stopped leaves, and the other has both."""
    here, there = (payment_id("shop", "1", card_id(slot, bytes(10))) for slot in (0, SLOTS - 1))
    with process(cluster, tmp_path / "1", "-v", "--diagnostics", "json") as (first, one):
        one.until("/health", lambda _, text: '"ready":true' in text and '"indexes":[0,1]' in text)
        with process(cluster, tmp_path / "2") as (second, two):
            two.until("/health", lambda _, text: json.loads(text)["indexes"] in ([0], [1]))
            two.is_ready()
            one.until("/health", lambda _, text: '"ready":true' in text and "[0,1]" not in text)
            (owned,) = json.loads(one.ask("/health")[1])["indexes"]
            status, answer = one.ask(f"/payments/{(there, here)[owned]}")
            assert (421, 1 - owned) == (status, json.loads(answer)["index"])
            assert json.loads(answer)["ask"].startswith(f"{two.address} on ")
            assert 404 == one.ask(f"/payments/{(here, there)[owned]}")[0]
            assert [200, 200] == [each.ask("/subjects")[0] for each in (one, two)]
            tick = one.metric("tallystick_tick", index=str(owned))
            one.until("/metrics", lambda *_: one.metric("tallystick_tick", index=str(owned)) > tick > 0)
            second.send_signal(signal.SIGTERM)
            out, said = second.communicate(timeout=PATIENCE_SECONDS)
            # On a machine that is busy Faust leaves late, or stumbles over a group that changes meanwhile.
            assert all("Faust did not stop" in line or "Faust left" in line for line in said.splitlines())
            assert ("", 0) == (out, second.returncode)
        one.until("/health", lambda _, text: '"ready":true' in text and '"indexes":[0,1]' in text)
        first.send_signal(signal.SIGINT)
        _, said = first.communicate(timeout=PATIENCE_SECONDS)
        assert 130 == first.returncode
    # Click ends the line in which ^C stands on a terminal.
    *lines, last = filter(None, said.splitlines())
    assert "tallystick: interrupted" == last
    assert {"at", "level", "logger", "message"} <= set.intersection(
        *(set(json.loads(line)) for line in lines)
    )
    assert "joined the group" in [json.loads(line)["message"] for line in lines]
    for group in ("engines", "ops"):
        until_nobody_is_left(cluster, group)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--clock", "virtual"], "virtual time needs --run FILE"),
        (["--run", "x"], "--run is for virtual time"),
        (["--speed", "60"], "--speed needs --origin"),
        (["--alerts", "nowhere.toml"], "the thresholds nowhere.toml cannot be read"),
        (["--log", "sqlite:x"], "give --log kafka://HOST:PORT/PREFIX"),
    ],
)
def test_arguments_that_make_no_sense(
    options: list[str], sentence: str, cluster: Cluster, tmp_path: Path
) -> None:
    """Exit code 2 and one sentence."""
    with process(cluster, tmp_path / "1", *options) as (running, _):
        _, said = running.communicate(timeout=PATIENCE_SECONDS)
    assert 2 == running.returncode
    assert sentence in said
    assert 1 == len(said.splitlines())


# --- when nothing helps ---------------------------------------------------------------------------------

HANGING: Final = """
import sys, time
from pathlib import Path
from infra.worker import host
from streams.hosts.cluster import Cluster
from tests.infra.worker.stand_ins import StandIn

class Hanging(StandIn):
    async def stop(self):
        time.sleep(600)

host._LEAVE_PATIENCE = 1.0
address, state = sys.argv[1:]
host.serve(host.Serving(Cluster.parse(address), Hanging().made, 2, Path(state)), lambda at: print(at, flush=True))
"""


def test_a_worker_that_hangs_is_gone_all_the_same(cluster: Cluster, tmp_path: Path) -> None:
    """Even with a loop that nobody can cancel: it would otherwise keep its place in the group."""
    command = [sys.executable, "-c", HANGING, cluster.address, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        Served(running.stdout.readline().strip()).is_ready()
        running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=PATIENCE_SECONDS)
    assert (3, "tallystick: the worker did not stop within 1 s and was left\n") == (running.returncode, said)


def test_without_its_broker_the_process_ends(tmp_path: Path, machine: dict[str, str]) -> None:
    """With exit code 3, in which it is in doubt what is committed: a new one finds out."""
    data = tmp_path / "kafka"
    try:
        house = Cluster(start(data, machine).bootstrap, "house")
        create(house.bootstrap, house.prefix, 2)
        with process(house, tmp_path / "1") as (running, served):
            served.is_ready()
            served.until("/metrics", lambda *_: served.metric("tallystick_transactions_total", index="0") > 2)
            stop(data, machine)
            _, said = running.communicate(timeout=PATIENCE_SECONDS)
        assert 3 == running.returncode
        assert said.splitlines()[-1].startswith("tallystick: house.index.")
    finally:
        stop(data, machine)
