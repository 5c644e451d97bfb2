"""Where the broker's code comes from: an unpacked Kafka named by KAFKA_HOME, or the one that ``pom.xml`` names.

The pom is resolved by Maven once, into the user's cache folder, and into a new folder whenever it changes. Maven
is asked as the machine has it set up, mirrors and all; a jar whose checksum is wrong fails the resolution.
"""

import hashlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from events.errors import Refused, Unavailable

JAVA: Final = 17
"""The oldest Java that Kafka 4 runs on."""
INSTALL: Final = (
    f"install Java {JAVA} or newer and Maven (Debian, Ubuntu: apt-get install openjdk-17-jre-headless maven), or name "
    "an unpacked Kafka by KAFKA_HOME (it needs Java as well), or a broker that runs by KAFKA_BOOTSTRAP"
)
POM: Final = Path(__file__).with_name("pom.xml")
#: Seconds. Fetching 44 MB takes ten on a good line.
_FETCH_PATIENCE: Final = 900
_KAFKA_JAR: Final = re.compile(r"kafka_\d+\.\d+-(\d+(?:\.\d+)+)\.jar")
_JAVA_VERSION: Final = re.compile(r'version "(?:1\.)?(\d+)')


class Distribution(NamedTuple):
    """A Kafka that can be started. ``options`` are what its way of logging wants of the JVM."""

    version: str
    java: str
    classpath: str
    options: tuple[str, ...]


def find(environment: Mapping[str, str], say: Callable[[str], None]) -> Distribution:
    """The Kafka of this machine, fetched if it must be; ``say`` hears of what takes long.

    Raises Unavailable with what to install where something is missing, Refused for a KAFKA_HOME that is none.
    """
    java = _java(environment)
    home = environment.get("KAFKA_HOME")
    if home:
        libraries = Path(home).expanduser().resolve() / "libs"
        version = _version(libraries)
        if version is None:
            raise Refused(f"KAFKA_HOME={home} is not an unpacked Kafka: there is no libs/kafka_*.jar in it")
        return Distribution(version, java, f"{libraries}/*", _logging(libraries.parent))
    libraries = cache_folder(environment)
    version = _version(libraries)
    if version is None:
        version = _fetch(libraries, environment, say)
    return Distribution(version, java, f"{libraries}/*", _SIMPLE_LOGGER)


def cache_folder(environment: Mapping[str, str]) -> Path:
    """Where the jars of today's pom lie, or will."""
    caches = environment.get("XDG_CACHE_HOME")
    folder = Path(caches) if caches else Path("~/.cache").expanduser()
    return folder / "tallystick" / f"kafka-{hashlib.sha256(POM.read_bytes()).hexdigest()[:16]}"


_SIMPLE_LOGGER: Final = (
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
)


def _logging(home: Path) -> tuple[str, ...]:
    """A distribution logs as its own configuration says: since 4.0 by log4j 2, before by log4j 1."""
    if (modern := home / "config" / "log4j2.yaml").exists():
        return (f"-Dlog4j2.configurationFile={modern}",)
    if (old := home / "config" / "log4j.properties").exists():
        return (f"-Dlog4j.configuration=file:{old}",)
    return ()


def _java(environment: Mapping[str, str]) -> str:
    home = environment.get("JAVA_HOME")
    java = str(Path(home) / "bin" / "java") if home else shutil.which("java", path=environment.get("PATH"))
    if java is None:
        raise Unavailable(f"there is no Java for Kafka: {INSTALL}")
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        said = f"JAVA_HOME={home}" if home else java
        raise Unavailable(f"{said} cannot be asked for its version: {error}; {INSTALL}") from error
    found = _JAVA_VERSION.search(answer.stderr)
    if found is None or int(found[1]) < JAVA:
        version = found[1] if found else "of unknown version"
        raise Unavailable(f"{java} is Java {version}, too old for Kafka: {INSTALL}")
    return java


def _version(libraries: Path) -> str | None:
    found = (_KAFKA_JAR.fullmatch(jar.name) for jar in sorted(libraries.glob("kafka_*.jar")))
    return next((match[1] for match in found if match), None)


def _fetch(libraries: Path, environment: Mapping[str, str], say: Callable[[str], None]) -> str:
    maven = shutil.which("mvn", path=environment.get("PATH"))
    if maven is None:
        raise Unavailable(f"there is no Maven to fetch Kafka: {INSTALL}")
    say(f"Fetching Kafka by Maven (44 MB, once) into {libraries}")
    try:
        libraries.parent.mkdir(parents=True, exist_ok=True)
        # Beside its place and then renamed: what is there is whole, whoever was killed or fetched at the same time.
        fetched = Path(tempfile.mkdtemp(prefix="fetching-", dir=libraries.parent))
    except OSError as error:
        raise Unavailable(
            f"{libraries.parent} cannot be written ({error.strerror}): name another cache folder by XDG_CACHE_HOME"
        ) from error
    try:
        _resolve(maven, fetched)
        version = _version(fetched)
        if version is None:
            raise Unavailable(f"Maven ended well and fetched no Kafka for {POM}")
        try:
            fetched.rename(libraries)
        except OSError as error:
            # Somebody else was faster, or something else lies there.
            if _version(libraries) is None:
                raise Unavailable(f"{libraries} is in the way of a fetched Kafka: remove it") from error
        return version
    finally:
        shutil.rmtree(fetched, ignore_errors=True)


def _resolve(maven: str, into: Path) -> None:
    command = [
        maven,
        "--batch-mode",
        "--quiet",
        "--strict-checksums",
        "-Dstyle.color=never",
        f"--file={POM}",
        "dependency:copy-dependencies",
        "-DincludeScope=runtime",
        f"-DoutputDirectory={into}",
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"Maven did not fetch Kafka in {_FETCH_PATIENCE} s: try again later") from error
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.startswith("[ERROR]")]
        reason = lines[0].removeprefix("[ERROR]").strip() if lines else done.stderr.strip()[-500:]
        raise Unavailable(
            f"Maven could not fetch Kafka: {reason}; `mvn -f {POM} dependency:copy-dependencies` says more, "
            "and KAFKA_HOME can name an unpacked Kafka instead"
        )
