"""The look of all figures: seaborn's white grid with our colours, panels, legends, labels at lines.

Colours have a contrast of 3 to 1 or more with white and with a dark page, and every line has a marker and
a line style of its own: a figure can be read without colour, in print and in the dark. Whatever is text,
axis or grid has the colour `INK`, which the SVG hands over to the page (see `svg`). seaborn and matplotlib
are loaded when something is drawn.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from recspectra.reporting.escape import one_line
from recspectra.reporting.figures.base import FigureData, name_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK = "#1b2430"  # no palette and no seaborn function has it
PALE = "#8b929c"  # what is behind, or was not told apart
COLOURS = ("#0072b2", "#d55e00", "#00876b", "#c05a94", "#a67c00", "#7a6fd0", "#767676")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("", (5, 2), (1, 1.2), (5, 2, 1, 2), (8, 2))
HATCHES = ("", "////", "..", "xx", "\\\\\\\\", "++")
MAP = "cividis"
WIDTH = 7.0  # inches
TALLEST = 8.0  # inches: 1,600 px
DPI = 200
FEW = 4  # lines that have their names at their ends
STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    # The first is shipped with matplotlib and wider than the others: where it lacks, text has room.
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica", "sans-serif"],
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": INK,
    "grid.alpha": 0.14,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "lines.markersize": 4.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "legend.handlelength": 3.2,
    "hatch.linewidth": 0.6,
    "patch.linewidth": 0.4,
}


@contextmanager
def themed(salt: str) -> Iterator[None]:
    """Draw with the theme inside the block, whatever a user's own settings are.

    Parameters
    ----------
    salt : str
        From which the names of clip paths and markers in an SVG are hashed.
    """
    import matplotlib as mpl
    import seaborn as sns

    with mpl.rc_context({"backend": "agg"}):
        mpl.rcdefaults()
        rc = {**STYLE, "svg.hashsalt": salt}
        sns.set_theme(context="paper", style="whitegrid", palette=list(COLOURS), rc=rc)
        yield


# ------------------------------------------------------------------------------- pictures


def grid(rows: int, columns: int, height: float, **share: object) -> tuple[Figure, list[list[Axes]]]:
    """Return a picture of a height in inches, at most `TALLEST`, and its axes row by row."""
    from matplotlib.figure import Figure

    picture = Figure(figsize=(WIDTH, min(height, TALLEST)), layout="constrained")
    axes = picture.subplots(rows, columns, squeeze=False, **share)
    return picture, axes.tolist()


def panel_grid(
    what: FigureData, height: float, columns: int = 2, extra: float = 0.6, **share: object
) -> tuple[Figure, dict[str, Axes], int]:
    """Return a picture, the axes of each panel, some in a row, and how many stand in a row.

    `height` is that of a row in inches; panels without data are hidden.
    """
    names = list(dict.fromkeys(what.frame["panel"]))
    columns = min(len(names), columns)
    rows = math.ceil(len(names) / columns)
    picture, axes = grid(rows, columns, height * rows + extra, **share)
    every = [axis for row in axes for axis in row]
    for axis in every[len(names) :]:
        axis.set_visible(False)
    return picture, dict(zip(names, every, strict=False)), columns


def nothing(what: FigureData) -> Figure:
    """Return an empty frame with the reason why nothing is in it."""
    picture, axes = grid(1, 1, 2.2)
    frame = axes[0][0]
    frame.grid(False)
    frame.set_xticks([])
    frame.set_yticks([])
    for spine in frame.spines.values():
        spine.set(visible=True, color=PALE)
    text = one_line(what.caption)
    frame.text(0.5, 0.5, text, ha="center", va="center", wrap=True, transform=frame.transAxes)
    return picture


def label_bottom(axes: Mapping[str, Axes], columns: int, text: str) -> None:
    """Name the horizontal axis under the lowest panel of each column."""
    for axis in list(axes.values())[-columns:]:
        axis.set_xlabel(name_of(text, 44 if columns == 2 else 30 if columns > 2 else 90))
        axis.tick_params(labelbottom=True)


def colour(number: int) -> str:
    """Return the colour of the n-th line."""
    return COLOURS[number % len(COLOURS)]


def looks(names: Sequence[str]) -> dict[str, Any]:
    """Return how seaborn's `lineplot` and `scatterplot` tell names apart: by hue, style and their order."""
    count = range(len(names))
    return {
        "hue_order": names,
        "style_order": names,
        "palette": {name: colour(i) for i, name in zip(count, names, strict=True)},
        "markers": {name: MARKERS[i % len(MARKERS)] for i, name in zip(count, names, strict=True)},
    }


def dashes(names: Sequence[str]) -> dict[str, Any]:
    """Return the line style of each name."""
    return {name: DASHES[i % len(DASHES)] for i, name in enumerate(names)}


def handles(names: Sequence[str], lines: bool = True, markers: bool = True) -> dict[str, Any]:
    """Return what a legend shows of each name: its line, its marker or both."""
    from matplotlib.lines import Line2D

    found = {}
    for i, name in enumerate(names):
        dash = DASHES[i % len(DASHES)]
        style = ((0, dash) if dash else "-") if lines else ""
        marker = MARKERS[i % len(MARKERS)] if markers else ""
        found[name] = Line2D([], [], color=colour(i), marker=marker, mec="white", linestyle=style)
    return found


def legend(picture: Figure, shown: Mapping[str, Any], title: str = "") -> None:
    """Put one legend below all panels."""
    names = [name_of(name) for name in shown]
    widest = max(map(len, names))
    columns = max(1, min(len(names), 5, 104 // (widest + 9)))
    picture.legend(
        list(shown.values()), names, loc="outside lower center", ncols=columns, title=title or None
    )


# ------------------------------------------------------------------------- labels at lines


def label_ends(axis: Axes, ends: Mapping[str, tuple[float, float]]) -> None:
    """Write names right of the points where lines end; `spread_labels` then keeps them apart."""
    for name, place in ends.items():
        axis.annotate(
            name_of(name, 30), place, (6, 0), textcoords="offset points", va="center", fontsize=8,
            annotation_clip=False, gid="end",
        )  # fmt: skip


def spread_labels(picture: Figure, apart: float = 10.0) -> None:
    """Move labels at the ends of lines up or down until none covers another (`apart` in points)."""
    for axis in picture.axes:
        labels = [text for text in axis.texts if text.get_gid() == "end"]
        if len(labels) < 2:
            continue
        picture.draw_without_rendering()
        scale = 72.0 / picture.dpi
        at = [axis.transData.transform(label.xy)[1] * scale for label in labels]
        for label, own, moved in zip(labels, at, kept_apart(at, apart), strict=True):
            label.set_position((6, moved - own))


def kept_apart(places: Sequence[float], apart: float) -> list[float]:
    """Return places moved as little as it takes to be `apart` from each other, in the same order."""
    order = sorted(range(len(places)), key=places.__getitem__)
    clusters: list[list[int]] = []
    for i in order:
        clusters.append([i])
        while len(clusters) > 1 and _span(clusters[-2], places, apart)[1] > (
            _span(clusters[-1], places, apart)[0] - apart + 1e-9
        ):
            last = clusters.pop()
            clusters[-1] += last
    found = [0.0] * len(places)
    for cluster in clusters:
        low, _ = _span(cluster, places, apart)
        for step, i in enumerate(cluster):
            found[i] = low + step * apart
    return found


def _span(cluster: Sequence[int], places: Sequence[float], apart: float) -> tuple[float, float]:
    """Return the lowest and highest place of labels that stand `apart` around their common middle."""
    middle = sum(places[i] for i in cluster) / len(cluster)
    half = apart * (len(cluster) - 1) / 2
    return middle - half, middle + half
