"""The published side of a finding: printed values, gains, and numbers in words."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from recspectra.config.study import FindingConfig
from recspectra.reporting.published import Published, PublishedTable


class Gain(NamedTuple):
    """A printed value, the best of the other methods, and the relative gain over it."""

    own: float
    rival: str
    value: float
    gain: float


class Counterpart:
    """What a published table prints for a finding; without a table, nothing."""

    def __init__(self, published: Published, finding: FindingConfig) -> None:
        self.finding = finding
        self.table: PublishedTable | None = None
        if finding.published:
            self.table = published.table(finding.published)
            self.values = published.values(finding.published)

    def dataset(self, ours: str) -> str | None:
        """Return the printed dataset beside one of ours."""
        mapped = {own: theirs for theirs, own in self.table.datasets.items()} if self.table else {}
        return mapped.get(ours, self.finding.printed.get(ours))

    def where(self, ours: str) -> str:
        """Return ` (on the paper's ml-1m, other files)` where the files differ, else nothing."""
        mapped = set(self.table.datasets.values()) if self.table else set()
        theirs = self.dataset(ours)
        return "" if ours in mapped or theirs is None else f" (on the paper's {theirs}, other files)"

    def known(self, model: str, variant: str) -> bool:
        """Tell whether the paper compares with a system; without a table, it counts as one."""
        return self.table is None or self.table.method_of(model, variant) is not None

    def column(self, ours: str, metric: str) -> dict[str, float]:
        """Return method -> printed value of a metric at the finding's cut-off."""
        if self.table is None:
            return {}
        name = f"{self.table.metrics.get(metric, metric)}@{self.finding.k}"
        rows = self.values[(self.values["dataset"] == self.dataset(ours)) & (self.values["metric"] == name)]
        return dict(zip(rows["method"], rows["value"], strict=True))

    def value(self, ours: str, model: str, variant: str, metric: str) -> float:
        """Return the printed value of a system, NaN where there is none."""
        method = self.table.method_of(model, variant) if self.table else None
        return self.column(ours, metric).get(method, np.nan)

    def gain(self, ours: str) -> Gain | None:
        """Return the printed gain of the finding's system over the best other method."""
        column = self.column(ours, self.finding.metric)
        method = self.table.method_of(self.finding.model, self.finding.variant) if self.table else None
        own = column.pop(method, None)
        if own is None or not column:
            return None
        rival = max(column, key=column.__getitem__)
        return Gain(own, rival, column[rival], own / column[rival] - 1.0)

    def absent(self, ours: set[tuple[str, str]]) -> list[str]:
        """Return the printed methods that no system of the study stands for."""
        if self.table is None:
            return []
        found = {self.table.method_of(model, variant) for model, variant in ours}
        found.add(self.table.method_of(self.finding.model, self.finding.variant))
        return [method for method in self.table.methods if method not in found]

    def definitions(self, ours: str, model: str, variant: str, metric: str) -> list[str]:
        """Return which of our metrics a printed value was made with; empty if nobody knows."""
        method = self.table.method_of(model, variant) if self.table else None
        entry = self.table.evaluator(method, self.dataset(ours)) if method else None
        return entry.definitions.get(self.table.metrics.get(metric, metric), []) if entry else []


def points(value: float) -> str:
    """Return a metric with four digits, nothing for NaN."""
    return "" if pd.isna(value) else f"{value:.4f}"


def signed(value: float) -> str:
    """Return a difference with its sign and four digits, nothing for NaN."""
    return "" if pd.isna(value) else f"{round(value, 4) + 0.0:+.4f}"


def percent(share: float) -> str:
    """Return a relative gain in percent with its sign."""
    return f"{round(100.0 * share, 1) + 0.0:+.1f}%"
