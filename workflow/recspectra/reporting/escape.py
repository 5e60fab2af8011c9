"""Text made safe for Markdown, LaTeX, HTML, spreadsheets, terminals and figures.

Names of datasets and variants come from files that anyone may write, so no name may
change the layout of what it is printed in.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from html import escape

import pandas as pd

LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "\u2013": "--",
    "\u2014": "---",
    "\u2018": "`",
    "\u2019": "'",
    "\u201c": "``",
    "\u201d": "''",
    "\u2212": "$-$",
    "\u00b1": r"$\pm$",
    "\u2191": r"$\uparrow$",
    "\u2193": r"$\downarrow$",
    "\u00d7": r"$\times$",
    "\u2020": r"\dag{}",
    "\u2021": r"\ddag{}",
    "\u00b6": r"\P{}",
    "\u00a7": r"\S{}",
    "\u2016": r"$\Vert$",
} | {character: f"\\{character}" for character in "&%$#_{}"}
ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0308\u030a\u030c\u0327", "`'^~\"rvc", strict=True))
UPPER_GREEK = {"GAMMA", "DELTA", "THETA", "LAMBDA", "XI", "PI", "SIGMA", "UPSILON", "PHI", "PSI", "OMEGA"}


def one_line(text: object) -> str:
    """Return text on one line, without control characters (a terminal obeys those)."""
    return printable(" ".join(str(text).split()))


def printable(line: str) -> str:
    """Return a line without characters that steer instead of being seen, such as ESC."""
    if line.isprintable():  # pictures are lines of megabytes
        return line
    return "".join(c for c in line if unicodedata.category(c) not in ("Cc", "Cf", "Cs"))


# What a spreadsheet takes for a formula, however many apostrophes stand before it, and is no number.
_FORMULA = re.compile(r"'*[=+@\t\r-](?!\Z)")
_NUMBER = re.compile(r"[+-](\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-](inf|nan)", re.IGNORECASE)
_CODED = re.compile(r"\\u\{([0-9a-f]+)\}")
_STEERING = ("Cc", "Cf", "Cs", "Zl", "Zp")


def spreadsheet(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table whose texts no spreadsheet runs and no terminal obeys; `from_spreadsheet` undoes it.

    A text that would be a formula (`=1+1`) starts with an apostrophe. A character that steers, such as ESC
    or one that turns the direction of writing, is its code (`\\u{1b}`).
    """
    return frame.assign(**{name: _mapped(frame[name], to_cell) for name in frame.columns})


def from_spreadsheet(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its texts as they were before `spreadsheet`."""
    return frame.assign(**{name: _mapped(frame[name], from_cell) for name in frame.columns})


def _mapped(column: pd.Series, function: Callable[[str], str]) -> pd.Series:
    """Return a column with its texts changed; the column itself where none does."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    if all(function(value) == value for value in column.tolist() if isinstance(value, str)):
        return column
    return column.map(lambda value: function(value) if isinstance(value, str) else value)


def to_cell(text: str) -> str:
    """Return a text as it may stand in a CSV file."""
    if not text.isprintable() or "\\u{" in text:
        text = "".join(_code(c) for c in text.replace("\\u{", "\\u{5c}u{"))
    risky = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if risky else text


def _code(character: str) -> str:
    steers = unicodedata.category(character) in _STEERING and character != "\n"
    return f"\\u{{{ord(character):x}}}" if steers else character


def from_cell(text: str) -> str:
    """Return the text that `to_cell` was given."""
    if text.startswith("'") and _FORMULA.match(text[1:]) and not _NUMBER.fullmatch(text[1:]):
        text = text[1:]
    return _CODED.sub(lambda found: chr(int(found[1], 16)), text) if "\\u{" in text else text


def shorten(text: object, width: int) -> str:
    """Return text on one line, at most `width` characters long."""
    text = one_line(text)
    return text if len(text) <= width else text[: width - 3] + "..."


def markdown(text: object) -> str:
    """Escape text for a cell of a Markdown table; HTML in it shows as text."""
    plain = re.sub(r"([\\`*_\[\]|~$#])", r"\\\1", one_line(text).replace("&", "&amp;"))
    return plain.replace("<", "&lt;").replace(">", "&gt;")


def html(text: object) -> str:
    """Escape text for HTML, in an element or an attribute in quotes."""
    return escape(one_line(text))


def latex(text: object) -> str:
    """Escape text for LaTeX as plain ASCII, so that any engine and font prints it."""
    return "".join(_latex(character) for character in one_line(text))


def _latex(character: str) -> str:
    if character in LATEX:
        return LATEX[character]
    if character.isascii():
        return character
    base, *marks = unicodedata.normalize("NFD", character)
    if len(marks) == 1 and marks[0] in ACCENTS and base.isascii() and base.isalpha():
        return f"\\{ACCENTS[marks[0]]}{{{base}}}"
    return _greek(unicodedata.name(character, ""))


def _greek(name: str) -> str:
    """Return the command of a Greek letter, or a question mark."""
    match = re.fullmatch(r"GREEK (SMALL|CAPITAL) LETTER (\w+)", name)
    letter = match[2].replace("LAMDA", "LAMBDA") if match else ""
    if not match or letter == "OMICRON" or (match[1] == "CAPITAL" and letter not in UPPER_GREEK):
        return "?"
    return rf"$\{letter.lower() if match[1] == 'SMALL' else letter.capitalize()}$"
