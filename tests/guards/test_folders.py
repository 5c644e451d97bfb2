"""A folder's README names every module that lives there, so that whoever looks for a place finds it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
TOPS: Final = ("events", "streams", "projections", "infra", "tests/simulation", "tests/torture")


def unnamed(root: Path, tops: tuple[str, ...] = TOPS) -> Iterator[str]:
    """Every module whose folder has a README that does not name it: as `name` or as `name.py`."""
    for top in tops:
        for readme in sorted((root / top).rglob("README.md")):
            text = readme.read_text("utf-8")
            for module in sorted(readme.parent.glob("*.py")):
                named = f"`{module.stem}`" in text or f"`{module.name}`" in text
                if not named and module.name != "__init__.py":
                    yield f"{readme.relative_to(root).as_posix()} does not name {module.name}"


def test_a_folder_names_what_lives_there() -> None:
    """A row in the README is part of adding a file."""
    assert [] == list(unnamed(ROOT))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("| `cups` | what one drinks from |", []),
        ("See `cups.py`.", []),
        ("About cups.", ["events/tea/README.md does not name cups.py"]),
        ("See `teacups`.", ["events/tea/README.md does not name cups.py"]),
    ],
)
def test_a_planted_module_is_found(tmp_path: Path, text: str, found: list[str]) -> None:
    """Whether it is named is a question of backticks, not of words; `__init__.py` goes without saying."""
    folder = tmp_path / "events" / "tea"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "cups.py").touch()
    (folder / "README.md").write_text(f"# Tea\n\n{text}\n", "utf-8")
    assert found == list(unnamed(tmp_path, ("events",)))
