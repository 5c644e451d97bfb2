"""Model files on their way to become reference data."""

from pathlib import Path
from typing import Final

from events.binary import TEXT_LIMIT
from events.errors import Unavailable, ValidationError
from events.reference import FraudModel, encode_reference
from events.risk import Mode
from streams.edge.entries import Entry
from streams.features.models import LONGEST_BYTES, decode_model

NAMES: Final = {Mode.ENFORCE: "champion", Mode.SHADOW: "challenger"}
"""What an entry is called by what its model is for: one replaces the other."""


def read_model(path: Path, mode: Mode) -> FraudModel:
    """The model of a file, for this use. ValidationError where it is not sound or too long to travel as one text."""
    try:
        with path.open("rb") as file:
            document = file.read(LONGEST_BYTES + 1)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
    _, sha256 = decode_model(document)
    content = FraudModel(mode, sha256, document.decode())
    length = len(encode_reference(content).encode())
    if length > TEXT_LIMIT:
        raise ValidationError("model", f"{length:,} bytes as reference data; {TEXT_LIMIT:,} are the most")
    return content


def entry_of(content: FraudModel) -> Entry:
    """The reference data of a model."""
    return Entry("model", NAMES[content.mode], content)
