"""Sentences from templates, and numbers as they stand in them.

A template of `workflow/report/` gives plain text, one paragraph a line; whoever shows it escapes it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from recspectra.files import PACKAGE_DIR
from recspectra.reporting.escape import one_line

TEMPLATES = PACKAGE_DIR.parent / "report"


def paragraphs(template: str, **context: Any) -> list[str]:
    """Return the lines of a rendered template, white space made single, empty lines left out."""
    text = _template(template).render(**context)
    return [" ".join(line.split()) for line in text.split("\n") if line.strip()]


def phrases(template: str, **context: Any) -> dict[str, str]:
    """Return the lines `name| text` of a rendered template by their names."""
    lines = (line.partition("|") for line in paragraphs(template, **context))
    return {name: text.strip() for name, _, text in lines}


@cache
def _template(name: str) -> Template:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        finalize=lambda value: (
            one_line(value) if isinstance(value, str) else value
        ),  # no name ends a paragraph
    )
    environment.filters |= {"points": points, "signed": signed, "percent": percent, "p": p_value}
    environment.tests["known"] = lambda value: value not in (None, "") and not pd.isna(value)
    return environment.get_template(name)


def points(value: float) -> str:
    """Return a metric with four digits, nothing for NaN."""
    return "" if pd.isna(value) else f"{value:.4f}"


OPEN = "no bound"  # where an interval has no end


def signed(value: float) -> str:
    """Return a difference with its sign and four digits, nothing for NaN."""
    if pd.isna(value) or np.isinf(value):
        return "" if pd.isna(value) else OPEN
    return f"{round(value, 4) + 0.0:+.4f}"


def percent(share: float) -> str:
    """Return a relative gain in percent with its sign, nothing for NaN."""
    if pd.isna(share) or np.isinf(share):
        return "" if pd.isna(share) else OPEN
    return f"{round(100.0 * share, 1) + 0.0:+.1f}%"


def p_value(value: float) -> str:
    """Return a p-value with three digits, nothing for NaN."""
    return "" if pd.isna(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"


def amount(value: float) -> str:
    """Return seconds or megabytes with three digits, nothing for NaN."""
    return "" if pd.isna(value) else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
