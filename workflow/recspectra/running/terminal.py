"""Text from files, shown on a terminal as what it is: an escape sequence steers nothing."""

from __future__ import annotations

import sys
import unicodedata
from typing import Any, TextIO

STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")  # control, direction and joining, half characters, line ends


def visible(text: str) -> str:
    r"""Return text with a code such as `\x1b` for each character that would steer instead of being seen.

    Line ends and tabs stay.
    """
    if text.isprintable():
        return text
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    if character in "\n\t" or unicodedata.category(character) not in STEERING:
        return character
    return character.encode("unicode_escape").decode("ascii")


class _Visible:
    """A stream for text whose lines are `visible`; a bar of progress may go back to its start."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text; what comes back is its length, as of any stream."""
        inner = text.strip("\r")
        start, end = text.partition(inner)[::2] if inner else (text, "")
        self._stream.write(start + visible(inner) + end)
        return len(text)

    def writelines(self, lines: Any) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def guard() -> None:
    """Let all that this process prints from now on be `visible`."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if not isinstance(stream, _Visible):
            setattr(sys, name, _Visible(stream))
