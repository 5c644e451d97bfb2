"""Our schemas in somebody else's registry: a stand-in that takes ids only in the mode IMPORT, as Confluent's does."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from aiohttp import web

from infra.commandline import run
from streams.hosts.registry.ours import Ours
from tests.infra.registries import PREFIX, running, serving

OURS: Final = Ours(PREFIX)
SUBJECT: Final = f"{PREFIX}.payments.requests-value"


class Theirs:
    """A registry of somebody else; ``calls`` that changed something, in order."""

    def __init__(self) -> None:
        self.versions: dict[str, dict[int, dict[str, Any]]] = {}
        self.levels: dict[str, str] = {}
        self.modes: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []
        self.password = ""

    def application(self) -> web.Application:
        """It as a server."""
        made = web.Application(middlewares=[self._guard])
        made.router.add_get("/subjects/{subject}/versions/{version}", self._version)
        made.router.add_post("/subjects/{subject}/versions", self._register)
        made.router.add_get("/config/{subject}", self._level)
        made.router.add_put("/config/{subject}", self._set_level)
        made.router.add_put("/mode/{subject}", self._set_mode)
        return made

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        expected = "Basic " + base64.b64encode(self.password.encode()).decode()
        if self.password and request.headers.get("Authorization") != expected:
            return web.json_response({"error_code": 401, "message": "Unauthorized"}, status=401)
        if request.method != "GET":
            self.calls.append((request.method, request.path))
        response: web.StreamResponse = await handler(request)
        return response

    async def _version(self, request: web.Request) -> web.Response:
        name, number = request.match_info["subject"], int(request.match_info["version"])
        found = self.versions.get(name, {}).get(number)
        if found is None:
            return web.json_response({"error_code": 40401, "message": "no"}, status=404)
        return web.json_response({"subject": name, "version": number, **found})

    async def _register(self, request: web.Request) -> web.Response:
        name, body = request.match_info["subject"], await request.json()
        if self.modes.get(name) != "IMPORT":
            return web.json_response(
                {"error_code": 42205, "message": f"{name} is not in import mode"}, status=422
            )
        # It gives schemas back in its own words.
        text = json.dumps(json.loads(body["schema"]), sort_keys=True)
        self.versions.setdefault(name, {})[body["version"]] = {"id": body["id"], "schema": text}
        return web.json_response({"id": body["id"]})

    async def _level(self, request: web.Request) -> web.Response:
        return web.json_response(
            {"compatibilityLevel": self.levels.get(request.match_info["subject"], "BACKWARD")}
        )

    async def _set_level(self, request: web.Request) -> web.Response:
        self.levels[request.match_info["subject"]] = (await request.json())["compatibility"]
        return web.json_response({})

    async def _set_mode(self, request: web.Request) -> web.Response:
        assert "true" == request.query["force"]
        self.modes[request.match_info["subject"]] = (await request.json())["mode"]
        return web.json_response({})


@pytest.fixture
def theirs() -> Theirs:
    """A registry in which is nothing."""
    return Theirs()


@pytest.fixture
def url(theirs: Theirs) -> Iterator[str]:
    """Where it is."""
    with running(theirs.application) as address:
        yield address


def call(name: str, url: str, *more: str) -> int:
    """``tallystick registry NAME``."""
    return run(["registry", name, "--url", url, "--prefix", PREFIX, *more])


def test_published_once_it_is_all_there(theirs: Theirs, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Every schema with our id, levels, and the subjects as they were: no mode is left behind."""
    assert 1 == call("check", url)
    assert f"{SUBJECT} version 1 id 72 missing" in " ".join(capsys.readouterr().out.split())
    assert 0 == call("publish", url)
    printed = capsys.readouterr()
    assert [subject for subject, _ in OURS.offered()] == printed.out.split()
    assert f"{len(OURS.offered())} subjects changed\n" == printed.err
    for subject, owned in OURS.offered():
        assert [row.id for row in owned.versions] == [
            theirs.versions[subject][number]["id"] for number in sorted(theirs.versions[subject])
        ]
    assert {"READWRITE"} == set(theirs.modes.values())
    assert "FULL_TRANSITIVE" == theirs.levels["tallystick.log.PaymentRequested"]
    assert "NONE" == theirs.levels[SUBJECT]

    theirs.calls.clear()
    assert [0, 0] == [call("publish", url), call("check", url)]
    printed = capsys.readouterr()
    assert ("The registry has all that is published.\n", "everything was there\n") == printed
    assert [] == theirs.calls


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ({"id": 7}, "id 72 id 7"),
        ({"schema": '"string"'}, "the schema of id 72 another schema"),
        ({"schema": "message M {}"}, "the schema of id 72 another schema"),
    ],
)
def test_what_differs_is_said_and_not_replaced(
    theirs: Theirs, url: str, change: dict[str, Any], shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A version that is something else stays: whoever has read it relies on it."""
    assert 0 == call("publish", url)
    theirs.versions["tallystick.PaymentRequest"][1].update(change)
    capsys.readouterr()
    assert 1 == call("check", url)
    assert (
        f"tallystick.PaymentRequest version 1 {shown}\n" in " ".join(capsys.readouterr().out.split()) + "\n"
    )
    theirs.calls.clear()
    assert 2 == call("publish", url)
    assert "tallystick.PaymentRequest: the registry has version 1 as " in capsys.readouterr().err
    assert [] == theirs.calls


def test_what_is_missing_is_brought(theirs: Theirs, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """That alone; corrected documentation is no difference."""
    assert 0 == call("publish", url)
    del theirs.versions[SUBJECT][2]
    theirs.levels[SUBJECT] = "FULL"
    schema = json.loads(theirs.versions[SUBJECT][1]["schema"])
    theirs.versions[SUBJECT][1]["schema"] = json.dumps({**schema, "doc": "Said worse."})
    capsys.readouterr()
    assert 1 == call("check", url, "--json")
    assert [
        {"subject": SUBJECT, "what": "version 2", "expected": "id 73", "found": "missing"},
        {"subject": SUBJECT, "what": "compatibility", "expected": "NONE", "found": "FULL"},
    ] == json.loads(capsys.readouterr().out)
    theirs.calls.clear()
    assert 0 == call("publish", url, "--json")
    assert [SUBJECT] == json.loads(capsys.readouterr().out)
    assert [
        ("PUT", f"/mode/{SUBJECT}"),
        ("POST", f"/subjects/{SUBJECT}/versions"),
        ("PUT", f"/mode/{SUBJECT}"),
        ("PUT", f"/config/{SUBJECT}"),
    ] == theirs.calls


def test_a_registry_of_ours_has_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to publish, nothing to complain about."""
    with serving() as address:
        assert [0, 0] == [call("publish", address), call("check", address)]
    assert "everything was there\n" == capsys.readouterr().err


def test_who_is_asked_for_a_password_gives_it(
    theirs: Theirs, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """From a file; it is in no address, and no message repeats it."""
    theirs.password = "ann:s3cret"
    file = tmp_path / "credentials"
    file.write_text("ann:s3cret\n", "utf-8")
    assert 2 == call("check", url)
    assert "refuses GET /subjects/" in capsys.readouterr().err
    assert 1 == call("check", url, "--credentials", str(file))
    file.write_text("s3cret", "utf-8")
    capsys.readouterr()
    assert [2, 3] == [call("check", url, "--credentials", str(path)) for path in (file, tmp_path / "nowhere")]
    printed = capsys.readouterr().err
    assert "does not hold USER:PASSWORD" in printed
    assert "s3cret" not in printed.replace(str(file), "")


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("http://127.0.0.1:1", 3, "no answer from the registry at http://127.0.0.1:1"),
        ("127.0.0.1:8081", 2, "has the form https://HOST:PORT"),
        ("http://me:pass@127.0.0.1:1", 2, "has the form https://HOST:PORT"),
        ("http://127.0.0.1:x", 2, "is no address of a registry"),
    ],
)
def test_a_registry_that_is_none(url: str, code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One sentence, and nothing repeated that may be a password."""
    assert code == call("check", url)
    printed = capsys.readouterr().err
    assert words in printed
    assert "pass@" not in printed


def test_a_server_that_is_no_registry(capsys: pytest.CaptureFixture[str]) -> None:
    """It answers, in words that are not ours."""

    async def page(_: web.Request) -> web.Response:
        return web.Response(text="<html>", status=503)

    def site() -> web.Application:
        made = web.Application()
        made.router.add_get("/{rest:.*}", page)
        return made

    with running(site) as address:
        assert 2 == call("check", address)
    assert "is no schema registry (HTTP 503)" in capsys.readouterr().err
