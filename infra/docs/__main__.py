"""Writes ``docs/events.md``, ``reasons.md``, ``topics.md``, ``rules.md``, ``metrics.md``, ``places.md`` from the code.

``python -m infra.docs`` (``make docs``) is run by whoever changed an event, a reason or the topology; with
``--check`` it writes nothing and exits 1 when a page is stale. It exits 2 where the code does not say enough: an
event that nobody records, a reason without a meaning, a topic that nobody writes.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from events.errors import Refused
from infra.docs import event_page, metric_page, place_page, reason_page, rule_page, topic_page

ROOT: Final = Path(__file__).resolve().parents[2]

#: Every page and what makes it.
PAGES: Final[dict[Path, Callable[[], str]]] = {
    Path("docs/events.md"): event_page.text,
    Path("docs/reasons.md"): reason_page.text,
    Path("docs/topics.md"): topic_page.text,
    Path("docs/rules.md"): rule_page.text,
    Path("docs/metrics.md"): metric_page.text,
    Path("docs/places.md"): place_page.text,
    Path("infra/prometheus/alerts.yml"): metric_page.rules,
}


def stale(root: Path) -> dict[Path, str]:
    """The pages of a tree that are missing or differ, each with what has to stand there."""
    return {
        path: text
        for path, make in PAGES.items()
        if (text := make()) != ((root / path).read_text("utf-8") if (root / path).exists() else None)
    }


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """The command line: 0 all is well, 1 a page is stale, 2 the code does not say enough."""
    parser = argparse.ArgumentParser(
        prog="python -m infra.docs", description="Write the pages that follow from the code."
    )
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 when a page is stale")
    options = parser.parse_args(arguments)
    try:
        found = stale(root)
    except Refused as refused:
        print(f"refused: {refused}", file=sys.stderr)
        return 2
    for path, text in found.items():
        if options.check:
            print(f"stale: {path}; run python -m infra.docs", file=sys.stderr)
        else:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text, "utf-8")
            print(f"wrote {path}")
    return 1 if found and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
