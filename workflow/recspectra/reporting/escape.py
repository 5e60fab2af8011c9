"""Text made safe for Markdown, LaTeX, HTML, spreadsheets, terminals and figures.

Names of datasets and variants come from files that anyone may write, so no name may
change the layout of what it is printed in.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape

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
    "\u00d7": r"$\times$",
    "\u2020": r"\dag{}",
    "\u2021": r"\ddag{}",
    "\u00b6": r"\P{}",
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


FORMULA = re.compile(r"'*[=+\-@\t\r]")


def csv_text(text: str) -> str:
    """Return text for a cell of a CSV that no spreadsheet takes for a formula; numbers stay as they are.

    An apostrophe goes before what starts as a formula does, and before what would be read as escaped.
    """
    return f"'{text}" if FORMULA.match(text) and not _is_number(text) else text


def read_csv_text(text: str) -> str:
    """Undo `csv_text`."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
