"""The write-ahead file of an embedded log, read without SQLite.

What a killed run leaves behind stands partly in ``LOG-wal``, frame by frame, each with a running check. SQLite takes
the frames up to the first whose check does not hold and leaves out the rest without a word: right after a loss of
power, and wrong where somebody has altered a byte, for then committed rounds are gone and what is left looks whole.
"""

import struct
import time
from pathlib import Path
from typing import Final

from events.errors import LogDamaged, Unavailable

_HEADER: Final = 32
_FRAME_HEADER: Final = 24
#: The last bit says in which byte order the checks are computed.
_MAGIC: Final = 0x377F0682
_MASK: Final = 0xFFFFFFFF

#: Somebody may be writing just now: what is half-written at one look is whole, or at least another, at the next.
_PAUSE_SECONDS: Final = 0.1


def check_write_ahead(log: Path) -> int:
    """The number of whole frames. Raises LogDamaged where a frame of the newest generation does not hold."""
    path = log.with_name(f"{log.name}-wal")
    seen: bytes | None = None
    while (data := _bytes_of(path)) != seen:
        whole, fault = _whole_frames(data)
        if not fault:
            return whole
        seen = data
        time.sleep(_PAUSE_SECONDS)
    raise LogDamaged(
        f"{path}: {fault}, and nobody is writing it; committed rounds may be lost behind it. If the machine lost "
        "power, run the job again: it goes on from the last whole round"
    )


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise Unavailable(f"{path} cannot be read: {error.strerror}") from error


def _whole_frames(data: bytes) -> tuple[int, str]:
    """How many frames hold, and what is wrong with the next one, if it should hold."""
    if not data:
        return 0, ""
    if len(data) < _HEADER:
        return 0, "its header is cut off"
    magic, _, page_size, _, salt_1, salt_2, *kept = struct.unpack(">8I", data[:_HEADER])
    order = ">" if magic & 1 else "<"
    check = _running((0, 0), data[: _HEADER - 8], order)
    if magic & ~1 != _MAGIC or check != tuple(kept):
        return 0, "its header does not have the check it was written with"
    size = _FRAME_HEADER + page_size
    for number, start in enumerate(range(_HEADER, len(data), size)):
        if start + size > len(data):
            return number, ""  # It was being written when its writer died: nobody has been told of it.
        header, page = data[start : start + _FRAME_HEADER], data[start + _FRAME_HEADER : start + size]
        _, committed_pages, first, second, *kept = struct.unpack(">6I", header)
        if first != salt_1 and second != salt_2:
            return number, ""  # From here on stands what an older generation has left.
        check = _running(check, header[:8] + page, order)
        if (first, second) == (salt_1, salt_2):
            if check == tuple(kept):
                continue
            if not committed_pages and not any(
                data[later + 8 : later + 16] == data[16:24] for later in range(start + size, len(data), size)
            ):
                # Its writer died between its header and its page, which is an older generation's: it ends no
                # transaction, and nothing of this generation stands behind it, so nothing was committed by it.
                return number, ""
        return number, f"frame {number} does not have the check it was written with"
    return (len(data) - _HEADER) // size, ""


def _running(check: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    first, second = check
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for one, other in zip(words, words, strict=True):
        first = (first + one + second) & _MASK
        second = (second + other + first) & _MASK
    return first, second
