"""Figures as the report takes them in: SVG, which follows light and dark pages, or PNG."""

from __future__ import annotations

import re
from pathlib import Path

from recspectra.files import open_regular
from recspectra.reporting.results import StudyError

PNG = b"\x89PNG\r\n\x1a\n"
LARGEST_SVG = 2**18  # bytes; a figure of very many points is lighter as PNG
# Elements that show something; what a browser would run or load is in none of them.
_SHOWN = (
    r"svg|g|path|rect|circle|line|polyline|polygon|ellipse|text|tspan|defs|clipPath|use|image|style|title|desc"
    r"|metadata|linearGradient|stop|marker|pattern|(?:rdf|cc|dc):\w+"
)
_ACTIVE = re.compile(
    rf"<(?!/?(?:{_SHOWN})[\s/>]|\?xml\s|!--|!DOCTYPE\s)"
    r"|\son\w+\s*=|href\s*=\s*[\"'](?!#|data:image/png)|@import|url\((?!#)",
    re.IGNORECASE,
)


def choose(path: Path) -> Path:
    """Return the SVG of a figure if it is light and holds only shapes and text, else its PNG."""
    vector = path.with_suffix(".svg")
    if not vector.is_file() or vector.is_symlink() or vector.stat().st_size > LARGEST_SVG:
        return path
    found = read(vector)
    return vector if b"<svg" in found and not _ACTIVE.search(found.decode("utf-8", "replace")) else path


def picture(path: Path) -> bytes:
    """Return a figure's bytes.

    Raises
    ------
    StudyError
        It is not there, or no picture.
    """
    found = read(path)
    if path.suffix == ".png" and not found.startswith(PNG):
        raise StudyError(f"{path}: no PNG picture; delete it and draw the study again")
    return found


def read(path: Path) -> bytes:
    """Return a file's bytes; a link could lead to any file, which the report would hand on."""
    try:
        with open_regular(path, follow=False) as stream:
            return stream.read()
    except FileNotFoundError:
        raise StudyError(f"{path}: file not found; draw the study first") from None
    except OSError as error:
        raise StudyError(f"{path}: {error.strerror}; delete it and draw the study again") from None
