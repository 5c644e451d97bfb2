"""A real PostgreSQL server for the tests: made in a folder of its own, started, and stopped at the end.

It listens on a socket in its folder alone, and forgets to wait for the disk. PostgreSQL does not run as root, so under
root its programs run as another user.
"""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from psycopg import sql

REQUIRE: Final = "TALLYSTICK_REQUIRE_POSTGRES"
#: Where Debian keeps what it does not put on PATH.
_DEBIAN: Final = Path("/usr/lib/postgresql")
_FASTER: Final = ("fsync=off", "full_page_writes=off", "listen_addresses=", "shared_buffers=32MB", "jit=off")
_ADMIN: Final = "admin"
#: The role that has to give a password; everybody else is believed.
LOCKED: Final = "locked"


class Server:
    """A running server."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs = programs
        self._folder = folder
        self._numbers = iter(range(1_000_000))
        self._as: dict[str, Any] = {"cwd": "/"}
        if os.getuid() == 0:
            user = _somebody()
            self._as |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
            os.chown(folder, user.pw_uid, user.pw_gid)
        folder.chmod(0o755)
        self._call(
            "initdb", "--encoding=UTF8", "--locale=C", f"--username={_ADMIN}", "--no-sync", "--auth=trust"
        )
        rules = folder / "data" / "pg_hba.conf"
        rules.write_text(f"local all {LOCKED} scram-sha-256\nlocal all all trust\n")
        settings = [f"unix_socket_directories={folder}", *_FASTER]
        options = " ".join(f"-c {setting}" for setting in settings)
        self._call("pg_ctl", "start", "--wait", "--silent", f"--log={folder / 'log'}", f"--options={options}")

    def _call(self, program: str, *arguments: str) -> None:
        command = [str(self._programs / program), f"--pgdata={self._folder / 'data'}", *arguments]
        # The server inherits what it is given for output, and would keep a pipe open.
        with (self._folder.parent / f"{self._folder.name}.{program}").open("w+") as said:
            done = subprocess.run(command, stdout=said, stderr=said, check=False, **self._as)
            said.seek(0)
            assert done.returncode == 0, f"{program}: {said.read()}"
        Path(said.name).unlink()

    def stop(self) -> None:
        """Stop it at once: nothing in it is wanted any more."""
        self._call("pg_ctl", "stop", "--wait", "--silent", "--mode=immediate")

    def address(self, database: str, user: str = _ADMIN, password: str = "") -> str:
        """The address of a database, as ``--store`` takes it."""
        secret = f":{password}" if password else ""
        return f"postgresql://{user}{secret}@/{database}?host={self._folder}"

    def environment(self) -> dict[str, str]:
        """What lets ``psql`` and its like find this server, and be found."""
        path = os.pathsep.join([str(self._programs), os.environ["PATH"]])
        return {"PATH": path, "PGHOST": str(self._folder), "PGUSER": _ADMIN, "PGDATABASE": "postgres"}

    def connect(self, database: str = "postgres") -> "psycopg.Connection[tuple[Any, ...]]":
        """A connection of the administrator, in autocommit mode."""
        return psycopg.connect(self.address(database), autocommit=True)

    def database(self, options: str = "") -> str:
        """A new database's name."""
        name = f"test_{next(self._numbers)}"
        with self.connect() as admin:
            admin.execute(sql.SQL("CREATE DATABASE {} " + options).format(sql.Identifier(name)))  # type: ignore[arg-type]  # options are the tests' own
        return name

    def drop(self, database: str) -> None:
        """Drop a database, whoever is in it."""
        with self.connect() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))


def programs() -> Path | None:
    """The folder of PostgreSQL's programs: of PATH, or the newest that Debian has; None where there is none."""
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    versions = [path for path in _DEBIAN.glob("*/bin") if (path / "initdb").exists()]
    return max(versions, key=lambda path: int(path.parent.name), default=None)


def require(environment: Mapping[str, str]) -> None:
    """Skip, or fail where PostgreSQL is required."""
    reason = (
        "NO POSTGRESQL, SO NOTHING IS TESTED ON IT: initdb is neither on PATH nor under /usr/lib/postgresql;"
        " on Debian and Ubuntu, apt-get install postgresql"
    )
    if environment.get(REQUIRE) == "1":
        pytest.fail(f"{reason} ({REQUIRE}=1)", pytrace=False)
    pytest.skip(reason)


def _somebody() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise AssertionError("under root, PostgreSQL needs a user `postgres` or `nobody` to run as")


@contextmanager
def running(found: Path) -> Iterator[Server]:
    """A server, for as long as the context is entered."""
    with tempfile.TemporaryDirectory(prefix="tallystick-postgres-") as folder:
        server = Server(found, Path(folder))
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A server for this run."""
    found = programs()
    if found is None:
        require(os.environ)
        raise AssertionError("either skipped or failed")
    with running(found) as server:
        yield server
