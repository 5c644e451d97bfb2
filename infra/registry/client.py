"""Our schemas in somebody else's registry: publishing them there, and saying what differs.

Our ids stand in every record, so a registry is of use to our readers only if it gives these very ids. Confluent's takes
an id from the caller while a subject is in the mode IMPORT; each subject is put into it for as long as it takes, and
what is already right is not touched.
"""

import base64
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from aiohttp import ClientError, ClientSession, ClientTimeout, InvalidURL

from events.avro import without_doc
from events.errors import Refused, Unavailable
from infra.registry.web import CONTENT_TYPE
from streams.hosts.registry.avro import parse
from streams.hosts.registry.ours import Ours, Owned, Published
from streams.hosts.registry.refusal import RegistryRefused

_PATIENCE: Final = ClientTimeout(total=30.0)
_ANSWER_BYTES: Final = 4 * 1024 * 1024
_NOT_FOUND: Final = 404
_MISSING: Final = "missing"
#: How much of what a server says is passed on.
_SHOWN: Final = 300


class Difference(NamedTuple):
    """Something that a registry has otherwise: a subject, what of it, what it has to be and is."""

    subject: str
    what: str
    expected: str
    found: str


class Outside:
    """A registry at an address. Raises Unavailable where nobody answers, Refused for what it will not do."""

    def __init__(self, session: ClientSession, url: str) -> None:
        self._session = session
        self._url = url.rstrip("/")

    async def version(self, subject: str, number: int) -> Mapping[str, Any] | None:
        """A version of a subject, with ``id`` and ``schema``; None where there is none."""
        return await self._call("GET", f"/subjects/{quote(subject, safe='')}/versions/{number}")

    async def level(self, subject: str) -> str | None:
        """The compatibility level that counts for a subject."""
        found = await self._call("GET", f"/config/{quote(subject, safe='')}?defaultToGlobal=true")
        return None if found is None else str(found.get("compatibilityLevel"))

    async def bring(self, subject: str, number: int, row: Published) -> None:
        """Register a schema as a version, with our id. The subject has to be in the mode IMPORT."""
        body = {"schema": row.schema.text, "schemaType": "AVRO", "id": row.id, "version": number}
        await self._call("POST", f"/subjects/{quote(subject, safe='')}/versions", body)

    async def set_level(self, subject: str, level: str) -> None:
        """Set a subject's compatibility level."""
        await self._call("PUT", f"/config/{quote(subject, safe='')}", {"compatibility": level})

    async def set_mode(self, subject: str, mode: str) -> None:
        """Set a subject's mode."""
        # Forced, for a subject that has versions may be asked to take one more.
        await self._call("PUT", f"/mode/{quote(subject, safe='')}?force=true", {"mode": mode})

    async def _call(self, method: str, path: str, body: object = None) -> Mapping[str, Any] | None:
        headers = {"Accept": f"{CONTENT_TYPE}, application/json"}
        data = None if body is None else json.dumps(body).encode()
        if data is not None:
            headers["Content-Type"] = CONTENT_TYPE
        try:
            async with self._session.request(
                method, self._url + path, data=data, headers=headers, allow_redirects=False
            ) as answer:
                text = await answer.content.read(_ANSWER_BYTES)
                status = answer.status
        except InvalidURL as error:
            raise Refused(f"{self._url} is no address of a registry") from error
        except (ClientError, TimeoutError, OSError) as error:
            reason = "it takes too long" if isinstance(error, TimeoutError) else str(error)
            raise Unavailable(f"no answer from the registry at {self._url}: {reason}") from error
        try:
            said = json.loads(text)
        except ValueError as error:
            raise Refused(f"what answers at {self._url} is no schema registry (HTTP {status})") from error
        if status == _NOT_FOUND and isinstance(said, dict) and method == "GET":
            return None
        if status >= 500:
            raise Unavailable(f"the registry at {self._url} cannot do it now: {_message(said, status)}")
        if status != 200 or not isinstance(said, dict):
            raise Refused(f"the registry at {self._url} refuses {method} {path}: {_message(said, status)}")
        return said


def _message(said: object, status: int) -> str:
    message = said.get("message") if isinstance(said, dict) else None
    return f"HTTP {status}" if message is None else f"{str(message)[:_SHOWN]} (HTTP {status})"


@asynccontextmanager
async def outside(url: str, credentials: Path | None = None) -> AsyncIterator[Outside]:
    """The registry at an address; ``credentials`` is a file that holds ``user:password``."""
    if not url.startswith(("http://", "https://")) or "@" in url:
        raise Refused(
            "a registry's address has the form https://HOST:PORT; a user and a password stand in a file for "
            "--credentials"
        )
    async with ClientSession(timeout=_PATIENCE, headers=_authorization(credentials)) as session:
        yield Outside(session, url)


def _authorization(credentials: Path | None) -> dict[str, str]:
    if credentials is None:
        return {}
    try:
        text = credentials.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Unavailable(f"the credentials in {credentials} cannot be read: {error}") from error
    if ":" not in text:
        raise Refused(f"{credentials} does not hold USER:PASSWORD")
    return {"Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}


async def check(registry: Outside, ours: Ours) -> list[Difference]:
    """All that a registry has otherwise than we have published it."""
    found: list[Difference] = []
    for subject, owned in ours.offered():
        found += await _compared(registry, subject, owned)
    return found


async def publish(registry: Outside, ours: Ours) -> list[str]:
    """Bring a registry what it lacks; the subjects that were changed. Raises Refused where something else has the
    place or the id: what is registered cannot be replaced."""
    changed: list[str] = []
    for subject, owned in ours.offered():
        differences = await _compared(registry, subject, owned)
        missing = [row for row in differences if row.found == _MISSING and row.what != _LEVEL]
        other = [row for row in differences if row not in missing and row.what != _LEVEL]
        if other:
            row = other[0]
            raise Refused(
                f"{subject}: the registry has {row.what} as {row.found}, published is {row.expected}; what is "
                "registered cannot be replaced"
            )
        if missing:
            lacking = {row.what for row in missing}
            await registry.set_mode(subject, "IMPORT")
            try:
                for number, published in enumerate(owned.versions, 1):
                    if _version(number) in lacking:
                        await registry.bring(subject, number, published)
            finally:
                await registry.set_mode(subject, "READWRITE")
        if any(row.what == _LEVEL for row in differences):
            await registry.set_level(subject, owned.level)
        if differences:
            changed.append(subject)
    return changed


_LEVEL: Final = "compatibility"


def _version(number: int) -> str:
    return f"version {number}"


async def _compared(registry: Outside, subject: str, owned: Owned) -> Sequence[Difference]:
    found: list[Difference] = []
    for number, row in enumerate(owned.versions, 1):
        what = _version(number)
        theirs = await registry.version(subject, number)
        if theirs is None:
            found.append(Difference(subject, what, f"id {row.id}", _MISSING))
        elif theirs.get("id") != row.id:
            found.append(Difference(subject, what, f"id {row.id}", f"id {theirs.get('id')}"))
        elif not _same(str(theirs.get("schema")), row):
            found.append(Difference(subject, what, f"the schema of id {row.id}", "another schema"))
    level = await registry.level(subject)
    if level != owned.level:
        found.append(Difference(subject, _LEVEL, owned.level, level or _MISSING))
    return found


def _same(text: str, row: Published) -> bool:
    """Whether a registry has our schema, in whatever form it gives it back; documentation may have been corrected."""
    try:
        theirs = parse(text)
    except RegistryRefused:
        return False
    return bool(without_doc(json.loads(theirs.normal)) == without_doc(json.loads(row.schema.normal)))
