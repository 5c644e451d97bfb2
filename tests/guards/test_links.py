"""A link of a page leads somewhere: to a file of the tree, and to a heading of it where one is named."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
#: Folders at the top in which pages are not ours, beside those whose name begins with a dot.
NOT_OURS: Final = frozenset({"build", "dist", "var"})

_LINK: Final = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
_FENCED: Final = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_HEADING: Final = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages(root: Path) -> Iterator[Path]:
    """The Markdown files of a tree."""
    for top in sorted(root.iterdir()):
        if top.is_dir() and not top.name.startswith(".") and top.name not in NOT_OURS:
            yield from sorted(top.rglob("*.md"))
        elif top.suffix == ".md":
            yield top


def anchors(text: str) -> set[str]:
    """The names under which the headings of a page can be reached."""
    headings = _HEADING.findall(_FENCED.sub("", text))
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def dead_links(root: Path) -> list[str]:
    """Every link of a tree that leads nowhere. Addresses outside are not looked at."""
    found = []
    for page in pages(root):
        for target in _LINK.findall(_FENCED.sub("", page.read_text("utf-8"))):
            name, _, heading = target.partition("#")
            if ":" in name:
                continue
            there = (page.parent / name).resolve() if name else page
            if not there.is_file() or (heading and heading not in anchors(there.read_text("utf-8"))):
                found.append(f"{page.relative_to(root).as_posix()}: {target}")
    return found


def test_no_link_is_dead() -> None:
    """Whoever moves a file or renames a heading mends what points to it."""
    assert [] == dead_links(ROOT)


@pytest.mark.parametrize(
    "link", ["docs/gone.md", "docs", "docs/a.md#three-cups", "#two-cups", "../README.md"]
)
def test_a_planted_dead_link_is_found(tmp_path: Path, link: str) -> None:
    """A missing file, a folder, a missing heading there and here, the way out of the tree."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Two cups\n\n```sh\n# Three cups\n```\n", "utf-8")
    (tmp_path / "README.md").write_text(f"# Cups\n\nSee [there]({link}).\n", "utf-8")
    assert [f"README.md: {link}"] == dead_links(tmp_path)


def test_a_link_that_leads_somewhere_is_free(tmp_path: Path) -> None:
    """A file, a heading, and what only looks like a link."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Two cups, `hot`\n\n[back](../README.md)\n", "utf-8")
    good = "[a](docs/a.md) [b](docs/a.md#two-cups-hot) [c](#cups) [d](https://example.org/)"
    (tmp_path / "README.md").write_text(f"# Cups\n\n{good}\n\n```text\n[e](gone.md)\n```\n", "utf-8")
    assert [] == dead_links(tmp_path)
