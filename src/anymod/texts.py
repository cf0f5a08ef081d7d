"""Text from outside: files of bounded size, and words that are safe to print."""

from __future__ import annotations

import stat
from pathlib import Path

MOST_BYTES = 10_000_000
"""Bytes of a text file that is read; a cohort of 20,000 subjects has a table of 5 million."""


def read_text(path: Path, most_bytes: int = MOST_BYTES, encoding: str = "utf-8") -> str:
    """Return the text of a regular file.

    Raises:
        OSError: The file is missing, larger than `most_bytes`, or a device or pipe, which could be endless or never answer.
        UnicodeDecodeError: It has another encoding.
    """
    mode = path.stat().st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):  # opening a folder raises an error of its own
        raise OSError("it is not a regular file")
    with path.open("rb") as stream:
        content = stream.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise OSError(f"it has more than {most_bytes} bytes")
    return content.decode(encoding)


def printable(text: str) -> str:
    r"""Return the text with every character that a terminal could obey or cannot show as an escape such as `\x1b`.

    Names of files may hold control sequences, marks that turn the direction of writing, and bytes that are no UTF-8. Line breaks and
    tabs stay.
    """
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode() for each in text
    )
