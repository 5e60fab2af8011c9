"""SVG that a page can take in: text stays text, colours follow the page, names clash with no other figure.

Text, axes and grid have the page's text colour (`currentColor`), the background is transparent. A file that
is opened for itself, or shown by `<img>`, follows the reader's setting of light or dark.
"""

from __future__ import annotations

import re
from html import escape

from recspectra.reporting.escape import one_line
from recspectra.reporting.figures.theme import INK

CLASS = "rs-figure"
LIGHT, DARK = INK, "#e3e7ec"
CSS = (
    f"svg.{CLASS}{{color:{LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{svg.{CLASS}{{color:{DARK}}}}}"
    "@media print{svg." + CLASS + "{color:" + LIGHT + "}}"
)
_ROOT = re.compile(r"<svg ([^>]*)>")
_NAMED = re.compile(r'\sid="([^"]*)"')
_USED = re.compile(r'(url\(#|href="#)([^")]+)')


def finish(text: str, name: str, alt: str) -> str:
    """Return matplotlib's SVG as a page can take it in.

    Parameters
    ----------
    text : str
        What matplotlib wrote.
    name : str
        Stands before every name inside, so that two figures of one page do not clash.
    alt : str
        What the picture shows, for readers who cannot see it.
    """
    used = {target for _, target in _USED.findall(text)}
    text = _NAMED.sub(lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = _USED.sub(lambda m: f"{m[1]}{name}-{m[2]}", text)
    text = re.sub(re.escape(INK), "currentColor", text, flags=re.IGNORECASE)
    label = escape(one_line(alt), quote=True)
    root = f'<svg class="{CLASS}" role="img" aria-label="{label}" '
    return _ROOT.sub(lambda m: f"{root}{m[1]}><style>{CSS}</style>", text, count=1)
