"""Templates of the report's pages, and what all of them use."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from markupsafe import Markup

from recspectra.files import PACKAGE_DIR
from recspectra.reporting.escape import printable
from recspectra.reporting.results import StudyError
from recspectra.reporting.table import to_html
from recspectra.reporting.words import amount, p_value, percent, points, signed


def environment(root: Path | str) -> Environment:
    """Return the environment of all pages; what they are given is escaped."""
    made = Environment(
        loader=FileSystemLoader([Path(root) / "workflow" / "report", PACKAGE_DIR.parent / "report"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"points": points, "signed": signed, "percent": percent, "p": p_value, "spec": spec_text,
                     "amount": amount, "count": count}  # fmt: skip
    made.tests["known"] = lambda value: value not in (None, "") and not pd.isna(value)
    made.globals["html"] = lambda table: Markup(to_html(table))  # noqa: S704 - `to_html` escapes
    return made


def fill(templates: Environment, name: str, **context: Any) -> str:
    """Return a page as HTML without control characters.

    Raises
    ------
    StudyError
        The template is missing or broken.
    """
    try:
        html = templates.get_template(name).render(**context)
    except TemplateError as error:
        raise StudyError(f"workflow/report/{name}: {type(error).__name__}: {error}") from None
    return "\n".join(map(printable, html.split("\n")))  # a page of control characters is no HTML


def spec_text(spec: dict[str, Any]) -> str:
    """Return a chart's specification as it stands in an attribute: JSON, which the template escapes."""
    return json.dumps(spec, allow_nan=False, separators=(",", ":"))


def count(number: int, one: str, many: str = "") -> str:
    """Return a number and what it counts: `1 run`, `2 runs`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
