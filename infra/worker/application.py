"""The Faust app: what Faust may do here, and what it may not.

It makes no topic, elects no leader, keeps no table and takes no setting from the environment. Its consumer group is
its own (``PREFIX.ops``); the engine's is another.
"""

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import faust
from aiohttp import web
from faust.types.auth import CredentialsT
from faust.web.drivers.aiohttp import Web as FaustWeb
from mode.threads import ServiceThread, WorkerThread
from yarl import URL

from events.errors import Unavailable
from streams.hosts.cluster import Cluster

LOOPBACK: Final = "127.0.0.1"
#: What Faust may keep on disk lies here, under the worker's state. Without tables that is an empty folder.
_DATA: Final = "faust"
_SESSION_SECONDS: Final = 10.0


class _UnawaitedThread(WorkerThread):
    """A thread of Faust's for which the end of the process does not wait: a silent broker would keep both."""

    def __init__(self, service: ServiceThread, **options: Any) -> None:
        super().__init__(service, **options)
        self.daemon = True

    def run(self) -> None:
        """Faust tells the loop that started it of its end; one that was left comes to it when that is closed."""
        try:
            super().run()
        except RuntimeError:
            if not self.service.parent_loop.is_closed():
                raise


ServiceThread.Worker = _UnawaitedThread


def listen(port: int) -> socket.socket:
    """A listening socket on loopback; 0 takes a free port. Raises Unavailable."""
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise Unavailable(
            f"port {port} of {LOOPBACK} cannot be had: {error}; --web-port 0 takes a free one"
        ) from error


class LoopbackWeb(FaustWeb):
    """Faust's web server on a socket that is open already, with our routes and none of Faust's own."""

    default_blueprints = ()
    production_blueprints = ()
    debug_blueprints = ()
    optional_blueprints = ()
    app: "OpsApp"

    async def start_server(self) -> None:
        """Serve."""
        await self._runner.setup()
        await web.SockSite(self._runner, self.app.listener).start()


class OpsApp(faust.App):
    """The app of a worker. ``listener`` is what its web server listens on."""

    listener: socket.socket

    def _new_web(self) -> LoopbackWeb:
        return LoopbackWeb(self)


def make_app(cluster: Cluster, state: Path, listener: socket.socket) -> OpsApp:
    """The app, without agents or routes."""
    state.mkdir(parents=True, exist_ok=True)
    app = OpsApp(cluster.topic("ops"), **options(cluster, state), web_port=listener.getsockname()[1])
    app.listener = listener
    return app


def options(cluster: Cluster, state: Path) -> dict[str, Any]:
    """The settings of every Faust app in this process."""
    return {
        # Faust would let the environment overrule what stands here.
        "env": {},
        "broker": [URL(f"kafka://{server}") for server in cluster.bootstrap.split(",")],
        "broker_credentials": credentials(cluster),
        "datadir": state / _DATA,
        "autodiscover": False,
        "store": "memory://",
        # Brokers of ours make no topic by themselves, and Faust shall not ask for any: the ones it reads are
        # made with all others. The leader's topic would be one more, for a leader that nothing here needs.
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        # Samples are about now: who begins, begins with the next.
        "consumer_auto_offset_reset": "latest",
        "broker_commit_interval": 1.0,
        # As the engine's group: whoever was killed, or had to go while joining, is not waited for for a minute.
        "broker_session_timeout": _SESSION_SECONDS,
        "broker_heartbeat_interval": _SESSION_SECONDS / 5,
        "stream_wait_empty": False,
        "web_bind": LOOPBACK,
        "web_host": LOOPBACK,
        "worker_redirect_stdouts": False,
    }


def add_routes(app: OpsApp, routes: Iterable[web.RouteDef]) -> None:
    """Serve these on the app's port."""
    server = app.web
    assert isinstance(server, LoopbackWeb)
    server.web_app.router.add_routes(routes)


def credentials(cluster: Cluster) -> CredentialsT | None:
    """What aiokafka is told in keywords, in Faust's words."""
    given = cluster.security
    protocol = given.get("security_protocol", "PLAINTEXT")
    if protocol.startswith("SASL"):
        return faust.SASLCredentials(
            username=given.get("sasl_plain_username"),
            password=given.get("sasl_plain_password"),
            mechanism=given.get("sasl_mechanism", "PLAIN"),
            ssl_context=given.get("ssl_context"),
        )
    return faust.SSLCredentials(given["ssl_context"]) if protocol == "SSL" else None
