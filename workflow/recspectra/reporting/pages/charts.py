"""Charts of the first page as Vega-Lite specifications: plain dictionaries, checked against its schema."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.scale import CAPPED, CAPPED_MARK
from recspectra.reporting.figures.trade_off import on_front

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
TRAINED, CLOSED = "trained", "closed form"
KINDS = [CLOSED, TRAINED]
KEEPS, BREAKS = "possible", "breaks an identity"
SIZE = {"width": 320, "height": 240}
MOST_NAMED = 12  # models of a panel; of more only the fastest and the best are named
# Where a name stands: alignment and offset in pixels. Neighbours in seconds have different ones, and a name
# leads into the half of the panel in which its point is not; none is longer than that half.
SIDES = {
    "above": ("left", 8, -7), "below": ("left", 8, 11),
    "above, left": ("right", -8, -7), "below, left": ("right", -8, 11),
}  # fmt: skip
LONGEST_NAME = 150  # pixels

Points = list[dict[str, Any]]


def cost_spec(points: Points) -> dict[str, Any]:
    """Return accuracy against seconds, one panel a dataset; a line joins models that no other beats in both.

    Parameters
    ----------
    points : list of dict
        `dataset`, `model`, `kind`, `seconds`, `value`, `low`, `high` (None without ends), `front`, `named`.
    """
    x = _number("seconds", "seconds to fit and rank", scale={"type": "log"},
                axis={"format": "~g", "tickCount": 4, "grid": False})  # fmt: skip
    y = _number("value", None, scale={"zero": False})
    shape = _name("kind", None, scale={"domain": KINDS, "range": ["circle", "square"]})
    colour = _name("kind", None, scale={"domain": KINDS})
    told = [_name("model"), _name("kind"), *_told(["value", "low", "high", "seconds"], ".4~g")]
    layers = [
        _layer({"type": "rule", "opacity": 0.45}, x=x, y=y | {"field": "low"}, y2={"field": "high"},
               only="isValid(datum.low)"),
        _layer({"type": "point", "filled": True, "size": 70, "opacity": 0.9}, x=x, y=y, shape=shape,
               color=colour, tooltip=told),
        _layer({"type": "line", "interpolate": "step-after", "opacity": 0.5, "strokeDash": [2, 2]}, x=x, y=y,
               only="datum.front"),
        *(_layer({"type": "text", "dy": dy, "align": align, "dx": dx, "limit": LONGEST_NAME}, x=x, y=y,
                 text=_name("model"), only=f"datum.named == '{side}'")
          for side, (align, dx, dy) in SIDES.items()),
    ]  # fmt: skip
    return _panels(points, layers, "dataset")


def published_spec(points: Points) -> dict[str, Any]:
    """Return our numbers against the printed ones, one panel a definition; on the line both are equal.

    Parameters
    ----------
    points : list of dict
        `definition`, `model`, `where`, `metric`, `published`, `ours`, `difference`, `check`.
    """
    most = max((max(p["published"], p["ours"]) for p in points), default=1.0)
    ends = {"values": [{"published": end, "ours": end} for end in (0.0, most)]}
    round_ticks = {"axis": {"format": "~g", "tickCount": 5}}
    x, y = _number("published", "published", **round_ticks), _number("ours", "reproduced", **round_ticks)
    metrics = sorted({p["metric"] for p in points}, key=_by_cut_off)
    line = _layer({"type": "line", "strokeDash": [4, 3], "opacity": 0.6}, x=x, y=y) | {"data": ends}
    shape = _name("check", "the printed row", scale={"domain": [KEEPS, BREAKS], "range": ["circle", "cross"]})
    told = [_name(name) for name in ("model", "where", "metric", "check")]
    told += _told(["published", "ours", "difference"], ".4f")
    dots = _layer({"type": "point", "size": 45, "opacity": 0.8, "filled": True}, x=x, y=y, shape=shape,
                  color=_name("metric", None, sort=metrics), tooltip=told)  # fmt: skip
    return _panels(points, [line, dots], "definition")


def cost_points(standings: pd.DataFrame, titles: dict[str, str]) -> Points:
    """Return what `cost_spec` shows of a study's standings."""
    rows = standings[standings["value"].notna() & (standings["seconds"] > 0)]
    points: Points = []
    for name, part in rows.groupby("dataset", sort=False):
        best = part.sort_values(["seconds", "value"], ascending=[True, False])
        front = set(part.index[on_front(part)])
        title = f"{titles.get(name, name)}: {part['metric'].iloc[0]}@{part['k'].iloc[0]:.0f}"
        named = list(best.index) if len(best) <= MOST_NAMED else [best.index[0], part["value"].idxmax()]
        sides = _sides(part.loc[list(dict.fromkeys(named))], by_turns=len(best) <= MOST_NAMED)
        points += [
            _cost_point(row, title, row.Index in front) | {"named": sides.get(row.Index, "")}
            for row in part.itertuples()
        ]
    return points


def _sides(part: pd.DataFrame, by_turns: bool) -> dict[Any, str]:
    """Return where the names of some models stand: above, or by turns below, of slow ones to the left."""
    middle = np.sqrt(part["seconds"].min() * part["seconds"].max())
    order = part["seconds"].loc[part.sort_values(["seconds", "value"]).index]
    return {
        index: ("above", "below")[by_turns and place % 2] + (", left" if seconds > middle else "")
        for place, (index, seconds) in enumerate(order.items())
    }


def _cost_point(row: Any, title: str, front: bool) -> dict[str, Any]:
    numbers = {name: getattr(row, name) for name in ("value", "low", "high", "seconds")}
    # Where too few users tell, an interval has no ends, and JSON no infinity.
    shown = {name: float(f"{one:.5g}") if np.isfinite(one) else None for name, one in numbers.items()}
    kind = TRAINED if row.kind == "trained" else CLOSED
    name = row.row + (CAPPED_MARK if CAPPED in row.status else "")
    return {"dataset": title, "model": name, "kind": kind, "front": front, **shown}


# ------------------------------------------------------------------------------- parts


def _by_cut_off(metric: str) -> tuple[str, int]:
    """Return what sorts `ndcg@5` before `ndcg@10`."""
    name, _, k = metric.partition("@")
    return name, int(k or 0)


def _number(field: str, title: str | None = None, **more: Any) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": title, **more}


def _name(field: str, title: str | None = "", **more: Any) -> dict[str, Any]:
    return {"field": field, "type": "nominal", **({} if title == "" else {"title": title}), **more}


def _told(fields: list[str], form: str) -> Points:
    return [{"field": name, "type": "quantitative", "format": form} for name in fields]


def _layer(mark: dict[str, Any], only: str = "", **encoding: Any) -> dict[str, Any]:
    chosen = {"transform": [{"filter": only}]} if only else {}
    return {**chosen, "mark": mark, "encoding": encoding}


def _panels(points: Points, layers: Points, by: str) -> dict[str, Any]:
    return {
        "$schema": SCHEMA,
        "data": {"values": points},
        "facet": _name(by, None, sort=list(dict.fromkeys(point[by] for point in points))),
        "columns": 2,
        "spec": {**SIZE, "layer": layers},
        "resolve": {"scale": {"x": "independent", "y": "independent"}},
    }
