"""The store on DuckDB: a file, which one process at a time may have."""

import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from events.errors import Refused, Unavailable
from projections.duck import DuckStore
from projections.duck_reading import DuckReader


def test_another_process_is_told_what_to_do(tmp_path: Path) -> None:
    """DuckDB lets one process in; the other learns so in one sentence."""
    path = tmp_path / "s.duckdb"
    with DuckStore.open(path):
        code = f"from projections.duck import DuckStore; DuckStore.open({str(path)!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert "StoreBusy" in other.stderr
    assert "in use by another process" in other.stderr


def test_other_files_are_refused(tmp_path: Path) -> None:
    """Neither a text file nor somebody else's database is written into."""
    text = tmp_path / "text.duckdb"
    text.write_text("not a database, and long enough to be looked at " * 100)
    with pytest.raises(Refused, match="not a DuckDB file"):
        DuckStore.open(text)
    foreign = tmp_path / "foreign.duckdb"
    with duckdb.connect(str(foreign)) as db:
        db.execute("CREATE TABLE theirs (a INTEGER)")
    with pytest.raises(Refused, match="not a Tallystick store"):
        DuckStore.open(foreign)
    with pytest.raises(Refused, match="not a Tallystick store"):
        DuckReader(foreign)
    with pytest.raises(Unavailable, match="tallystick demo"):
        DuckReader(tmp_path / "nothing.duckdb")
