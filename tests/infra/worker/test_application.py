"""What Faust is told, and what it is kept from."""

import asyncio
import socket
import ssl
from pathlib import Path

import faust
import pytest
from faust.types.auth import AuthProtocol, SASLMechanism
from mode.threads import ServiceThread

from events.errors import Unavailable
from infra.worker.application import credentials, listen, make_app
from infra.worker.membership import named
from streams.hosts.cluster import Cluster
from tests.patience import PATIENCE_SECONDS

CLUSTER = Cluster("127.0.0.1:9,127.0.0.1:10", "house")


def test_the_environment_does_not_overrule_the_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Faust takes any of its settings from there, and so would anybody who can set a variable."""
    for name, value in {
        "WEB_PORT": "80",
        "WEB_BIND": "elsewhere.example",
        "BROKER_URL": "kafka://elsewhere.example",
    }.items():
        monkeypatch.setenv(name, value)
    with listen(0) as listener:
        conf = make_app(CLUSTER, tmp_path / "state", listener).conf
        assert ("127.0.0.1", listener.getsockname()[1]) == (conf.web_bind, conf.web_port)
    assert ["kafka://127.0.0.1:9", "kafka://127.0.0.1:10"] == [str(url) for url in conf.broker]
    assert ("house.ops", tmp_path / "state" / "faust") == (conf.id, conf.datadir)
    assert (False, True) == (conf.topic_allow_declare, conf.topic_disable_leader)


def test_a_port_that_is_taken() -> None:
    """One sentence that says what to do; 0 takes a free one."""
    with listen(0) as taken, pytest.raises(Unavailable, match="--web-port 0 takes a free one"):
        listen(taken.getsockname()[1])
    with listen(0) as listener:
        assert ("127.0.0.1", socket.AF_INET) == (listener.getsockname()[0], listener.family)


def test_credentials() -> None:
    """What a file for --kafka-config gives aiokafka, in Faust's words."""
    context = ssl.create_default_context()
    user = {"sasl_plain_username": "u", "sasl_plain_password": "p", "sasl_mechanism": "SCRAM-SHA-512"}
    assert credentials(CLUSTER) is None
    plain = credentials(Cluster("h:1", "p", {"security_protocol": "SASL_PLAINTEXT", **user}))
    assert isinstance(plain, faust.SASLCredentials)
    assert ("u", "p", SASLMechanism.SCRAM_SHA_512) == (plain.username, plain.password, plain.mechanism)
    assert AuthProtocol.SASL_PLAINTEXT is plain.protocol
    secret = credentials(
        Cluster("h:1", "p", {"security_protocol": "SASL_SSL", "ssl_context": context, **user})
    )
    assert isinstance(secret, faust.SASLCredentials)
    assert (AuthProtocol.SASL_SSL, context) == (secret.protocol, secret.ssl_context)
    bare = credentials(Cluster("h:1", "p", {"security_protocol": "SSL", "ssl_context": context}))
    assert isinstance(bare, faust.SSLCredentials)
    assert context is bare.context


def test_a_worker_is_known_by_the_address_of_its_views() -> None:
    """The broker keeps it for whoever looks for the owner of an index."""
    cluster = named(Cluster("h:1", "p", {"security_protocol": "PLAINTEXT"}), "http://127.0.0.1:8")
    assert "worker http://127.0.0.1:8" == cluster.options()["client_id"]
    assert "PLAINTEXT" == cluster.options()["security_protocol"]


class Ending(ServiceThread):
    """Faust's consumer, as far as it tells of its end."""

    async def _serve(self) -> None:
        self.set_shutdown()


@pytest.mark.parametrize("is_left", [False, True])
def test_a_thread_that_was_left_ends_without_a_word(is_left: bool) -> None:
    """The loop it would tell is closed by then, and nobody is there to hear what else it says."""
    loop, theirs = asyncio.new_event_loop(), asyncio.new_event_loop()
    if is_left:
        loop.close()
    thread = ServiceThread.Worker(Ending(loop=loop, thread_loop=theirs))
    assert thread.daemon
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert not thread.is_alive()
    assert thread.is_stopped.is_set()
    theirs.close()
    loop.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_what_else_goes_wrong_in_a_thread_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that fails while its loop runs is hidden."""
    said: list[object] = []
    monkeypatch.setattr("threading.excepthook", lambda told: said.append(told.exc_value))
    failure, loop, theirs = RuntimeError("broken"), asyncio.new_event_loop(), asyncio.new_event_loop()

    class Broken(Ending):
        async def _serve(self) -> None:
            raise failure

    thread = ServiceThread.Worker(Broken(loop=loop, thread_loop=theirs))
    thread.start()
    thread.join(PATIENCE_SECONDS)
    assert [failure] == said
    theirs.close()
    loop.close()
