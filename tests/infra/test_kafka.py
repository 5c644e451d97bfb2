"""Starting brokers without any: a stand-in for Java shows what we do to processes, files and those who wait.

``tests/integration`` does it with Kafka itself.
"""

import json
import os
import re
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pytest

from events.errors import Refused, Unavailable
from infra.commandline import run
from infra.kafka.broker import Cluster, Node, address, properties, start, stop
from infra.kafka.client import EXTRA
from infra.kafka.distribution import POM, cache_folder, find
from infra.kafka.processes import Process, alive, end, free_ports, spawn
from infra.kafka.topics import ALL, full_name, settings_of
from infra.settings import Settings
from streams.topology import TOPICS
from tests.integration.conftest import REQUIRE, require_kafka, why_not

#: The last word is the settings file; the broker's folder says how it shall go.
JAVA: Final = """#!/bin/sh
for last; do :; done
folder=$(dirname "$last")
case "$*" in
-version) echo 'openjdk version "21.0.1" 2023-10-17' >&2 ;;
*StorageTool*) mkdir -p "$folder/data" && touch "$folder/data/meta.properties" ;;
*)
    if [ -e "$folder/../snatched" ]; then
        rm "$folder/../snatched"
        echo 'java.net.BindException: Address already in use'
        exit 1
    fi
    if [ -e "$folder/../broken" ]; then
        echo '[main] ERROR kafka.Kafka - Exiting: disk on fire'
        exit 1
    fi
    echo up
    exec sleep 600 ;;
esac
"""
MAVEN: Final = """#!/bin/sh
for word; do case "$word" in -DoutputDirectory=*) touch "${word#*=}/kafka_2.13-4.3.0.jar" ;; esac; done
"""
BROKEN_MAVEN: Final = """#!/bin/sh
echo '[ERROR] Could not transfer artifact: nobody there'
echo '[ERROR] To see the full stack trace, re-run'
exit 1
"""


class Place(NamedTuple):
    """An empty data folder and an environment in which brokers that are none can be started."""

    data: Path
    environment: dict[str, str]


def program(path: Path, text: str) -> Path:
    """A program, ready to run."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Whoever waits for a broker waits until the stand-in says that it is up."""
    program(tmp_path / "java" / "bin" / "java", JAVA)
    (tmp_path / "kafka" / "libs").mkdir(parents=True)
    (tmp_path / "kafka" / "libs" / "kafka_2.13-4.3.0.jar").touch()
    data = tmp_path / "data"

    def wait(_bootstrap: str, brokers: int, _patience: float, still_there: Callable[[], None]) -> None:
        while sum(log.read_text() == "up\n" for log in data.glob("node-*/broker.log")) < brokers:
            still_there()

    monkeypatch.setattr("infra.kafka.broker.wait_until_it_serves", wait)
    environment = {"JAVA_HOME": str(tmp_path / "java"), "KAFKA_HOME": str(tmp_path / "kafka")}
    yield Place(data, environment)
    stop(data, environment)


def cluster(data: Path) -> Cluster:
    """What the state file says."""
    return msgspec.json.decode((data / "state.json").read_bytes(), type=Cluster)


# --- start and stop -------------------------------------------------------------------------------------


@pytest.mark.parametrize("brokers", [1, 3])
def test_start_and_stop(place: Place, brokers: int) -> None:
    """Started once, found again, stopped once; the next start has the same ports and other processes."""
    numbers = list(range(1, brokers + 1))
    assert address(*place) is None
    first = start(*place, brokers)
    assert (numbers, "4.3.0", first.bootstrap) == (first.started, first.kafka, address(*place))
    second = start(*place)
    assert ([], first.bootstrap) == (second.started, second.bootstrap)
    before = cluster(place.data).nodes
    assert all(node.runs for node in before)

    stopped = stop(*place)
    assert (numbers, []) == (stopped.stopped, stopped.killed)
    assert not any(node.runs for node in before)
    assert address(*place) is None
    assert [] == stop(*place).stopped

    third = start(*place)
    assert (numbers, first.bootstrap) == (third.started, third.bootstrap)
    after = cluster(place.data).nodes
    assert not {node.process for node in before} & {node.process for node in after}


def test_two_who_start_at_once_start_one(place: Place) -> None:
    """The second waits for the first, and then finds the broker running."""
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(lambda _: start(*place), range(2)))
    assert [[], [1]] == sorted(done.started for done in both)
    assert both[0].bootstrap == both[1].bootstrap


def test_the_missing_one_of_three_is_started(place: Place) -> None:
    """Those that run are left alone."""
    start(*place, 3)
    before = cluster(place.data).nodes
    end([before[1].process], 10)
    assert [2] == start(*place).started
    after = cluster(place.data).nodes
    assert [True, False, True] == [old == new for old, new in zip(before, after, strict=True)]


def test_a_pid_that_somebody_else_has_is_left_alone(place: Place) -> None:
    """After a crash the pid may be anybody's: neither start nor stop takes it for a broker."""
    start(*place)
    stop(*place)
    stranger = spawn(["/bin/sleep", "600"], place.data / "stranger.log")
    try:
        old = cluster(place.data)
        # The stand-in lives so briefly that both may be born in one tick of the clock.
        before = old.nodes[0].process.born
        recycled = Process(stranger.pid, f"{before}0" if before == stranger.born else before)
        state = msgspec.json.encode(old.with_process(1, recycled))
        (place.data / "state.json").write_bytes(state)
        assert [] == stop(*place).stopped
        assert [1] == start(*place).started
        assert [1] == stop(*place).stopped
        assert alive(stranger)
    finally:
        end([stranger], 10)


def test_whoever_does_not_end_is_killed(tmp_path: Path) -> None:
    """A process that ignores the request is named."""
    deaf = program(tmp_path / "deaf", "#!/bin/sh\ntrap '' TERM\necho deaf\nwhile :; do sleep 0.05; done\n")
    process = spawn([str(deaf)], tmp_path / "log")
    while (tmp_path / "log").read_text() != "deaf\n":
        assert alive(process)
    assert [process] == end([process], 0.3)
    assert not alive(process)


def test_a_snatched_port_is_replaced(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between our look and the broker's another program can take a port: then others are tried."""
    tried: list[list[int]] = []

    def ports(count: int, wanted: Sequence[int]) -> list[int]:
        tried.append(free_ports(count))
        return tried[-1]

    monkeypatch.setattr("infra.kafka.broker.free_ports", ports)
    place.data.mkdir()
    (place.data / "snatched").touch()
    started = start(*place)
    assert 2 == len(tried)
    assert f"127.0.0.1:{tried[1][0]}" == started.bootstrap


def test_a_broker_that_ends_is_not_waited_for(place: Place) -> None:
    """The sentence names the cause and the log."""
    place.data.mkdir()
    (place.data / "broken").touch()
    with pytest.raises(Unavailable, match=r"broker 1 ended .* disk on fire; see .*/node-1/broker\.log$"):
        start(*place)
    assert [] == stop(*place).stopped


def test_an_interrupted_start_leaves_nothing_running(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while it waits ends what it has started."""
    running: list[Process] = []

    def interrupted(*_: object) -> None:
        running.extend(node.process for node in cluster(place.data).nodes if node.runs)
        raise KeyboardInterrupt

    monkeypatch.setattr("infra.kafka.broker.wait_until_it_serves", interrupted)
    with pytest.raises(KeyboardInterrupt):
        start(*place, 3)
    assert 3 == len(running)
    assert not any(map(alive, running))


def test_what_a_killed_start_has_started_is_found(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed while it waits, it cannot clean up: the next start takes over what runs."""
    monkeypatch.setattr("infra.kafka.broker.wait_until_it_serves", lambda *_: os.kill(os.getpid(), 9))
    child = os.fork()
    if child == 0:
        start(*place)
    assert signal.SIGKILL == os.WTERMSIG(os.waitpid(child, 0)[1])
    monkeypatch.setattr("infra.kafka.broker.wait_until_it_serves", lambda *_: None)
    assert cluster(place.data).nodes[0].runs
    assert [] == start(*place).started
    assert [1] == stop(*place).stopped


def test_a_folder_keeps_its_number_of_brokers(place: Place) -> None:
    """One broker's data cannot become three brokers'."""
    start(*place)
    with pytest.raises(
        Refused, match="holds a cluster of 1, which cannot become one of 3: leave --brokers out"
    ):
        start(*place, 3)


def test_a_folder_that_kafka_cannot_take_is_refused(place: Place) -> None:
    """Kafka would take a comma for the beginning of another folder."""
    with pytest.raises(Refused, match="Kafka wants a plain path"):
        start(place.data.with_name("a,b"), place.environment)


def test_a_state_that_cannot_be_read_is_said(place: Place) -> None:
    """Who runs is then unknown, and nothing is started beside it."""
    other = place.data.with_name("other")
    other.mkdir()
    (other / "state.json").write_text("{}")
    with pytest.raises(
        Unavailable, match=r"state\.json cannot be read: .*remove .* if you can do without it"
    ):
        start(other, place.environment)


def test_our_own_address_may_be_named(place: Place) -> None:
    """`export KAFKA_BOOTSTRAP=$(tallystick kafka start)` does not make the broker somebody else's."""
    bootstrap = start(*place).bootstrap
    assert [1] == stop(place.data, {**place.environment, "KAFKA_BOOTSTRAP": bootstrap}).stopped
    assert not stop(place.data, {**place.environment, "KAFKA_BOOTSTRAP": "broker.example:9092"}).ours


def test_ports_are_kept_where_they_are_free() -> None:
    """And all are new where one is taken; none is from the range of outgoing connections."""
    ports = free_ports(4)
    assert 4 == len(set(ports))
    assert ports == free_ports(4, ports)
    with socket.create_server(("127.0.0.1", ports[2])):
        assert not set(ports) & set(free_ports(4, ports))
    low = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    assert max(ports) < max(low, 32_768)


@pytest.mark.parametrize(
    ("brokers", "expected"),
    [
        (1, ("1@127.0.0.1:11", "1", "1")),
        (3, ("1@127.0.0.1:11,2@127.0.0.1:21,3@127.0.0.1:31", "3", "2")),
    ],
)
def test_three_brokers_keep_three_copies(brokers: int, expected: tuple[str, ...]) -> None:
    """A record counts when two of three have it; one broker does what one can."""
    nodes = [Node(number, number * 10, number * 10 + 1) for number in range(1, brokers + 1)]
    found = properties(Cluster("id", "/data", nodes), nodes[-1])
    made = dict(line.split("=", 1) for line in found.splitlines())
    names = ("controller.quorum.voters", "transaction.state.log.replication.factor")
    assert expected == tuple(made[name] for name in (*names, "transaction.state.log.min.isr"))
    assert f"/data/node-{brokers}/data" == made["log.dirs"]
    assert "false" == made["auto.create.topics.enable"]


# --- where Kafka comes from -----------------------------------------------------------------------------


def test_maven_is_asked_once(tmp_path: Path) -> None:
    """What was fetched lies whole in the cache folder; a machine without Maven can use it."""
    java, maven = program(tmp_path / "bin" / "java", JAVA), program(tmp_path / "bin" / "mvn", MAVEN)
    environment = {"PATH": f"{java.parent}:{os.defpath}", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    said: list[str] = []
    first = find(environment, said.append)
    maven.unlink()
    assert first == find(environment, said.append)
    folder = cache_folder(environment)
    assert [f"Fetching Kafka by Maven (44 MB, once) into {folder}"] == said
    assert ("4.3.0", str(java), f"{folder}/*") == first[:3]
    assert [folder] == list(folder.parent.iterdir())


@pytest.mark.parametrize(
    ("programs", "variables", "complaint"),
    [
        ({}, {}, "there is no Java for Kafka: install Java 17 or newer and Maven"),
        ({"java": JAVA.replace("21.0.1", "11.0.2")}, {}, "is Java 11, too old for Kafka: install Java 17"),
        ({"java": JAVA.replace("21.0.1", "1.8.0_402")}, {}, "is Java 8, too old for Kafka"),
        ({"java": JAVA}, {"JAVA_HOME": "/no/such"}, "JAVA_HOME=/no/such cannot be asked for its version"),
        ({"java": JAVA}, {}, "there is no Maven to fetch Kafka: install Java 17 or newer and Maven"),
        ({"java": JAVA, "mvn": BROKEN_MAVEN}, {}, "Could not transfer artifact: nobody there; `mvn -f "),
        ({"java": JAVA, "mvn": "#!/bin/sh\n"}, {}, "Maven ended well and fetched no Kafka"),
        ({"java": JAVA}, {"KAFKA_HOME": "/no/such"}, "KAFKA_HOME=/no/such is not an unpacked Kafka"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, programs: dict[str, str], variables: dict[str, str], complaint: str
) -> None:
    """One sentence with what to do; a half-fetched Kafka is never kept."""
    for name, text in programs.items():
        program(tmp_path / "bin" / name, text)
    base = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with pytest.raises((Unavailable, Refused), match=re.escape(complaint)):
        find({**base, **variables}, lambda sentence: None)
    assert [] == list(tmp_path.glob("cache/*/*"))


def test_what_lies_in_the_cache_is_not_overwritten(tmp_path: Path) -> None:
    """A folder of that name that holds no Kafka is somebody's to remove."""
    program(tmp_path / "bin" / "java", JAVA)
    program(tmp_path / "bin" / "mvn", MAVEN)
    environment = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path)}
    program(cache_folder(environment) / "something", "else")
    with pytest.raises(Unavailable, match="is in the way of a fetched Kafka: remove it"):
        find(environment, lambda sentence: None)


@pytest.mark.parametrize("config", ["log4j2.yaml", "log4j.properties"])
def test_an_unpacked_kafka_logs_its_own_way(place: Place, config: str) -> None:
    """A distribution has a logger and its configuration; ours has neither."""
    home = Path(place.environment["KAFKA_HOME"])
    assert () == find(place.environment, lambda sentence: None).options
    (home / "config").mkdir()
    (home / "config" / config).touch()
    (option,) = find(place.environment, lambda sentence: None).options
    assert option.endswith(str(home / "config" / config))


def test_the_pom_asks_for_a_logger_that_fits() -> None:
    """Kafka brings slf4j-api 1.7, which ignores a binding of 2.x without a word."""
    assert "<artifactId>slf4j-simple</artifactId>\n      <version>1.7.36</version>" in POM.read_text("utf-8")


# --- the command line -----------------------------------------------------------------------------------


def test_without_the_extra_there_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is started that could not be waited for, and no broker is called dead that nobody has asked."""
    monkeypatch.setenv("KAFKA_BOOTSTRAP", "127.0.0.1:1")
    for module in [*filter(re.compile(r"aiokafka\b").match, sys.modules), "aiokafka"]:
        monkeypatch.setitem(sys.modules, module, None)
    for command in (["kafka", "start"], ["kafka", "status"], ["topics", "check"]):
        assert 3 == run(command)
        assert ("", f"tallystick: {EXTRA}\n") == capsys.readouterr()


def test_nobody_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """An address that nobody answers at is one sentence; no address is a question."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    (port,) = free_ports(1)
    assert 3 == run(["topics", "check", "--bootstrap", f"127.0.0.1:{port}"])
    assert f"tallystick: no answer from Kafka at 127.0.0.1:{port}" in capsys.readouterr().err
    assert 2 == run(["topics", "create"])
    assert "which broker? Give --bootstrap HOST:PORT" in capsys.readouterr().err
    assert [3, 0] == [run(["kafka", "status"]), run(["kafka", "stop"])]
    assert "no broker runs in var/kafka: tallystick kafka start\n" in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())


def test_topics_are_listed_from_the_topology(capsys: pytest.CaptureFixture[str]) -> None:
    """Every topic with its key, its partitions and its settings."""
    assert 0 == run(["topics", "list", "--partitions", "4", "--json"])
    listed = json.loads(capsys.readouterr().out)
    assert [(topic.name, topic.key, 4 if topic.partitioned else 1) for topic in ALL] == [
        (row["name"], row["key"], row["partitions"]) for row in listed
    ]
    assert {"1048576", "2097152"} == {row["settings"]["max.message.bytes"] for row in listed}
    assert 0 == run(["topics", "list"])
    shown = capsys.readouterr().out
    assert all(topic.name in shown for topic in ALL)


def test_with_three_brokers_two_have_to_have_a_record() -> None:
    """One may fail and nothing is lost; with fewer brokers there is nothing to ask for."""
    assert "2" == settings_of(TOPICS[0], 3)["min.insync.replicas"]
    assert "min.insync.replicas" not in settings_of(TOPICS[0], 1)
    assert ("p.intake", "intake") == (full_name("p", "intake"), full_name("", "intake"))


# --- the tests on Kafka ---------------------------------------------------------------------------------


def test_a_machine_without_kafka_skips_loudly_or_fails(tmp_path: Path) -> None:
    """One line says what to install; where Kafka is required its absence is a failure."""
    bare = {"PATH": str(tmp_path)}
    reason = why_not(bare)
    assert reason.startswith(
        "NO KAFKA, SO NOTHING IS TESTED ON IT: there is no Java for Kafka: install Java 17"
    )
    assert 1 == len(reason.splitlines())
    with pytest.raises(pytest.skip.Exception, match=re.escape(reason)):
        require_kafka(reason, bare)
    with pytest.raises(pytest.fail.Exception, match=r"install .* \(TALLYSTICK_REQUIRE_KAFKA=1\)$"):
        require_kafka(reason, {REQUIRE: "1"})


def test_a_machine_with_kafka_tests_on_it(place: Place, tmp_path: Path) -> None:
    """An unpacked Kafka with Java will do, and so will a broker that runs; the settings know the variable."""
    assert "" == why_not(place.environment)
    assert "" == why_not({"PATH": str(tmp_path), "KAFKA_BOOTSTRAP": "broker.example:9092"})
    Settings.load({REQUIRE: "1"}, tmp_path)
