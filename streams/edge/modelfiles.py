"""Model files on their way to become reference data."""

from pathlib import Path
from typing import Final

from events.binary import TEXT_LIMIT
from events.errors import Unavailable, ValidationError
from events.reference import FraudModel, OnlineModel, Reference, encode_reference
from events.risk import Mode
from streams.edge.entries import Entry
from streams.features import online
from streams.features.models import LONGEST_BYTES, Model, decode_model

NAMES: Final = {Mode.ENFORCE: "champion", Mode.SHADOW: "challenger"}
"""What an entry is called by what its model is for: one replaces the other."""


def read_model(path: Path, mode: Mode) -> FraudModel:
    """The model of a file, for this use. ValidationError where it is not sound or too long to travel as one text."""
    _, sha256, document = _read(path)
    content = FraudModel(mode, sha256, document)
    _fits(content)
    return content


def read_learner(path: Path, mode: Mode, genuine_one_in: int, genuine_after_days: int) -> OnlineModel:
    """The scorecard of a file, to go on learning. ValidationError as above, and where it cannot learn."""
    model, sha256, document = _read(path)
    content = OnlineModel(mode, sha256, document, genuine_one_in, genuine_after_days)
    online.check(model, content)
    _fits(content)
    return content


def entry_of(content: FraudModel | OnlineModel) -> Entry:
    """The reference data of a model."""
    if isinstance(content, OnlineModel):
        return Entry("online", "learner", content)
    return Entry("model", NAMES[content.mode], content)


def _read(path: Path) -> tuple[Model, str, str]:
    """A model, its hash, and its document as it stands."""
    try:
        with path.open("rb") as file:
            document = file.read(LONGEST_BYTES + 1)
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error
    model, sha256 = decode_model(document)
    return model, sha256, document.decode()


def _fits(content: Reference) -> None:
    length = len(encode_reference(content).encode())
    if length > TEXT_LIMIT:
        raise ValidationError("model", f"{length:,} bytes as reference data; {TEXT_LIMIT:,} are the most")
