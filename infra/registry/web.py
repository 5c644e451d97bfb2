"""The registry's REST interface, as Confluent's clients speak it: thin handlers for any aiohttp application.

A handler reads the call, asks the registry and writes the answer; what may be and what may not is decided by the core.
"""

import functools
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from events.errors import Retry, Unavailable
from streams.hosts.registry.avro import SCHEMA_BYTES, Schema, parse
from streams.hosts.registry.compatibility import Level
from streams.hosts.registry.refusal import Code, RegistryRefused, schema_not_found
from streams.hosts.registry.service import Registry
from streams.hosts.registry.state import State, Version

LOGGER: Final = logging.getLogger("tallystick.registry")
CONTENT_TYPE: Final = "application/vnd.schemaregistry.v1+json"
#: A schema inside JSON: each of its quotation marks may take two bytes.
BODY_BYTES: Final = 3 * SCHEMA_BYTES
_TYPES: Final = ("AVRO",)
_BAD_REQUEST, _TOO_LARGE, _UNPROCESSABLE = 400, 413, 422
_STORE_FAILED: Final = 50001
#: How long calls under way may take when the server ends.
_SHUTDOWN_SECONDS: Final = 5.0
_IDS: Final = range(2**31)

_Answer = Callable[["Call"], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """A call, read as far as all have in common."""

    registry: Registry
    request: web.Request

    def name(self, part: str = "subject") -> str:
        """A part of the path."""
        return self.request.match_info[part]

    def flag(self, name: str) -> bool:
        """A parameter that is true or false."""
        return self.request.query.get(name, "").lower() == "true"

    def version(self) -> int | None:
        """The version in the path; None is the latest."""
        text = self.name("version")
        if text in ("latest", "-1"):
            return None
        if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS or not int(text):
            raise RegistryRefused(
                Code.INVALID_VERSION,
                f"The specified version '{text[:_SHOWN]}' is not a valid version id. Allowed values are between "
                '[1, 2^31-1] and the string "latest"',
            )
        return int(text)

    def schema_id(self) -> int:
        """The schema id in the path."""
        text = self.name("id")
        if not text.isascii() or not text.isdecimal() or len(text) > _DIGITS or int(text) not in _IDS:
            raise schema_not_found()
        return int(text)

    async def body(self) -> Mapping[str, Any]:
        """The body, a JSON object. Reads no more than is allowed, whatever the application's own bound is."""
        data = bytearray()
        async for chunk in self.request.content.iter_chunked(_CHUNK):
            data += chunk
            if len(data) > BODY_BYTES:
                # Somebody else's bytes still come: they are not read, so no other call can follow on this connection.
                raise _Failed(
                    _TOO_LARGE, _TOO_LARGE, f"The body has more than {BODY_BYTES} bytes.", close=True
                )
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise _Failed(_BAD_REQUEST, _BAD_REQUEST, "The body is not JSON.") from error
        if not isinstance(found, dict):
            raise _Failed(_UNPROCESSABLE, _UNPROCESSABLE, "The body is not a JSON object.")
        return found

    async def schema(self) -> Schema:
        """The schema in the body."""
        body = await self.body()
        kind = body.get("schemaType") or _TYPES[0]
        if kind not in _TYPES:
            raise RegistryRefused(
                Code.INVALID_SCHEMA, f"Invalid schema type {str(kind)[:_SHOWN]}: only AVRO is served here."
            )
        if body.get("references"):
            raise RegistryRefused(
                Code.INVALID_SCHEMA,
                "Invalid schema: references are not served; write the types into the schema.",
            )
        if body.get("ruleSet"):
            raise RegistryRefused(Code.INVALID_SCHEMA, "Invalid schema: rules are not carried out here.")
        text = body.get("schema")
        if not isinstance(text, str) or not text:
            raise RegistryRefused(Code.INVALID_SCHEMA, "Invalid schema: there is none in the body.")
        return parse(text)

    async def level(self) -> Level:
        """The compatibility level in the body."""
        level = (await self.body()).get("compatibility")
        if not isinstance(level, str) or level.upper() not in Level.__members__:
            raise RegistryRefused(
                Code.INVALID_LEVEL,
                f"Invalid compatibility level. Valid values are {', '.join(level.lower() for level in Level)}",
            )
        return Level(level.upper())


_CHUNK: Final = 64 * 1024
_DIGITS: Final = 10
#: How much of what a stranger sent is said back to him.
_SHOWN: Final = 40


class _Failed(Exception):
    """A call that never came to the registry."""

    def __init__(self, status: int, code: int, message: str, *, close: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.close = close


# -- schemas ---------------------------------------------------------------------------------------------


async def _root(_: Call) -> Any:
    return {}


async def _types(_: Call) -> Any:
    return list(_TYPES)


async def _schema_by_id(call: Call) -> Any:
    return {"schema": (await call.registry.ask(lambda state: state.schema(call.schema_id()))).text}


async def _text_by_id(call: Call) -> Any:
    return web.Response(
        text=(await call.registry.ask(lambda state: state.schema(call.schema_id()))).text,
        content_type=CONTENT_TYPE,
    )


async def _places(call: Call) -> list[Version]:
    places = await call.registry.ask_anew(
        lambda state: state.places(call.schema_id(), deleted=call.flag("deleted"))
    )
    wanted = call.request.query.get("subject")
    return [place for place in places if wanted is None or place.subject == wanted]


async def _versions_by_id(call: Call) -> Any:
    return [{"subject": place.subject, "version": place.version} for place in await _places(call)]


async def _subjects_by_id(call: Call) -> Any:
    return list(dict.fromkeys(place.subject for place in await _places(call)))


# -- subjects --------------------------------------------------------------------------------------------


async def _subjects(call: Call) -> Any:
    prefix = call.request.query.get("subjectPrefix", "")
    found = await call.registry.ask_anew(lambda state: state.subjects(deleted=call.flag("deleted")))
    return [subject for subject in found if subject.startswith(prefix)]


async def _register(call: Call) -> Any:
    schema = await call.schema()
    schema_id = await call.registry.change(
        lambda state: state.register(call.name(), schema, normal=call.flag("normalize"))
    )
    return {"id": schema_id}


async def _lookup(call: Call) -> Any:
    schema = await call.schema()
    return _shown(
        await call.registry.ask(
            lambda state: state.lookup(
                call.name(), schema, normal=call.flag("normalize"), deleted=call.flag("deleted")
            )
        )
    )


async def _versions(call: Call) -> Any:
    return await call.registry.ask_anew(
        lambda state: state.versions(call.name(), deleted=call.flag("deleted"))
    )


async def _version(call: Call) -> Version:
    def question(state: State) -> Version:
        return state.version(call.name(), call.version(), deleted=call.flag("deleted"))

    # What a number stands for does not change; what the latest is may have changed elsewhere.
    registry = call.registry
    return await (registry.ask_anew(question) if call.version() is None else registry.ask(question))


async def _shown_version(call: Call) -> Any:
    return _shown(await _version(call))


async def _text_of_version(call: Call) -> Any:
    return web.Response(text=(await _version(call)).schema.text, content_type=CONTENT_TYPE)


async def _referenced_by(call: Call) -> Any:
    await _version(call)
    return []


async def _delete_subject(call: Call) -> Any:
    return await call.registry.change(
        lambda state: state.delete_subject(call.name(), permanent=call.flag("permanent"))
    )


async def _delete_version(call: Call) -> Any:
    return await call.registry.change(
        lambda state: state.delete_version(call.name(), call.version(), permanent=call.flag("permanent"))
    )


def _shown(version: Version) -> dict[str, Any]:
    return {
        "subject": version.subject,
        "version": version.version,
        "id": version.id,
        "schema": version.schema.text,
    }


# -- compatibility, levels, mode -------------------------------------------------------------------------


async def _compatible_with_all(call: Call) -> Any:
    schema = await call.schema()
    return _compatible(call, await call.registry.ask_anew(lambda state: state.problems(call.name(), schema)))


async def _compatible_with_one(call: Call) -> Any:
    schema = await call.schema()

    def question(state: State) -> list[str]:
        version = call.version()
        subject = call.name()
        if version is None:
            if subject not in state.subjects():
                return []
            version = state.version(subject, None).version
        return state.problems(subject, schema, version)

    return _compatible(call, await call.registry.ask_anew(question))


def _compatible(call: Call, problems: list[str]) -> dict[str, Any]:
    answer: dict[str, Any] = {"is_compatible": not problems}
    if call.flag("verbose"):
        answer["messages"] = problems
    return answer


def _subject_or_all(call: Call) -> str | None:
    return call.request.match_info.get("subject")


async def _get_level(call: Call) -> Any:
    level = await call.registry.ask_anew(
        lambda state: state.level(_subject_or_all(call), inherit=call.flag("defaultToGlobal"))
    )
    return {"compatibilityLevel": level}


async def _set_level(call: Call) -> Any:
    wanted = await call.level()
    return {
        "compatibility": await call.registry.change(
            lambda state: state.set_level(_subject_or_all(call), wanted)
        )
    }


async def _delete_level(call: Call) -> Any:
    gone = await call.registry.change(lambda state: state.delete_level(_subject_or_all(call)))
    return {"compatibilityLevel": gone}


async def _mode(_: Call) -> Any:
    return {"mode": "READWRITE"}


async def _mode_of_subject(call: Call) -> Any:
    if call.registry.owns(call.name()):
        return {"mode": "READONLY"}
    if call.flag("defaultToGlobal"):
        return {"mode": "READWRITE"}
    raise RegistryRefused(
        Code.MODE_NOT_CONFIGURED, f"Subject '{call.name()}' does not have subject-level mode configured"
    )


async def _fixed_mode(_: Call) -> Any:
    raise RegistryRefused(Code.NOT_PERMITTED, "Modes cannot be changed here.")


_CALLS: Final[tuple[tuple[str, str, _Answer], ...]] = (
    ("GET", "/schemas/types", _types),
    ("GET", "/schemas/ids/{id}", _schema_by_id),
    ("GET", "/schemas/ids/{id}/schema", _text_by_id),
    ("GET", "/schemas/ids/{id}/versions", _versions_by_id),
    ("GET", "/schemas/ids/{id}/subjects", _subjects_by_id),
    ("GET", "/subjects", _subjects),
    ("POST", "/subjects/{subject}", _lookup),
    ("DELETE", "/subjects/{subject}", _delete_subject),
    ("GET", "/subjects/{subject}/versions", _versions),
    ("POST", "/subjects/{subject}/versions", _register),
    ("GET", "/subjects/{subject}/versions/{version}", _shown_version),
    ("DELETE", "/subjects/{subject}/versions/{version}", _delete_version),
    ("GET", "/subjects/{subject}/versions/{version}/schema", _text_of_version),
    ("GET", "/subjects/{subject}/versions/{version}/referencedby", _referenced_by),
    ("POST", "/compatibility/subjects/{subject}/versions", _compatible_with_all),
    ("POST", "/compatibility/subjects/{subject}/versions/{version}", _compatible_with_one),
    ("GET", "/config", _get_level),
    ("PUT", "/config", _set_level),
    ("DELETE", "/config", _delete_level),
    ("GET", "/config/{subject}", _get_level),
    ("PUT", "/config/{subject}", _set_level),
    ("DELETE", "/config/{subject}", _delete_level),
    ("GET", "/mode", _mode),
    ("PUT", "/mode", _fixed_mode),
    ("GET", "/mode/{subject}", _mode_of_subject),
    ("PUT", "/mode/{subject}", _fixed_mode),
    ("DELETE", "/mode/{subject}", _fixed_mode),
)


def routes(registry: Registry, base: str = "") -> list[web.RouteDef]:
    """The calls of a registry below ``base`` (as in ``/registry``; clients then take that address). Whoever mounts
    them starts the registry before the first call and stops it after the last."""
    calls = (("GET", base or "/", _root), *((method, base + path, answer) for method, path, answer in _CALLS))
    return [web.route(method, path, _handler(registry, answer)) for method, path, answer in calls]


def application(registry: Registry) -> web.Application:
    """A server of its own, which starts and stops the registry."""

    async def running(_: web.Application) -> AsyncIterator[None]:
        try:
            await registry.start()
            yield
        finally:
            await registry.stop()

    made = web.Application(middlewares=[_explained])
    made.cleanup_ctx.append(running)
    made.add_routes(routes(registry))
    return made


@asynccontextmanager
async def serving(registry: Registry, host: str, port: int) -> AsyncIterator[str]:
    """The address at which a registry is served for as long as the block lasts. Raises Unavailable, Refused."""
    runner = web.AppRunner(application(registry), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    try:
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            raise Unavailable(f"nothing can be served at {host}:{port}: {error.strerror}") from error
        yield f"http://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@web.middleware
async def _explained(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """What aiohttp answers by itself, in the form that clients understand."""
    try:
        return await handler(request)
    except web.HTTPError as error:
        return _failure(error.status, error.status, f"HTTP {error.status} {error.reason}")


def _handler(registry: Registry, answer: _Answer) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    @functools.wraps(answer)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            found = await answer(Call(registry, request))
        except RegistryRefused as refused:
            return _failure(refused.status, refused.code.value, str(refused))
        except _Failed as failed:
            response = _failure(failed.status, failed.code, str(failed))
            if failed.close:
                response.force_close()
            return response
        except Retry as error:
            LOGGER.warning("the registry cannot answer now: %s", error)
            return _failure(500, _STORE_FAILED, f"Error in the backend data store: {error}")
        if isinstance(found, web.StreamResponse):
            return found
        return web.json_response(found, content_type=CONTENT_TYPE)

    return handle


def _failure(status: int, code: int, message: str) -> web.Response:
    return web.json_response(
        {"error_code": code, "message": message}, status=status, content_type=CONTENT_TYPE
    )
