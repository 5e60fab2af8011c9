"""What `reach` counts, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recspectra.data.reach import COLUMNS, WITH_VALID


def describe(stats: Mapping[str, Any]) -> list[str]:
    """Return sentences on what no model can know and no list can hold; none where there is nothing to say.

    `stats` holds `test_users` and `COLUMNS`.
    """
    count = {name: _number(stats.get(name)) for name in ("test_users", *COLUMNS)}
    told = []
    if count["cold_users"]:
        told.append(
            f"{count['cold_users']:,} of {count['test_users']:,} test users have no training interaction"
            f"{_later(count, 'cold_users')}; they have {_targets(count, 'cold_targets')}."
        )
    if count["unknown_items"]:
        told.append(
            f"{count['unknown_items']:,} test items stand in no training interaction"
            f"{_later(count, 'unknown_items')}, so no model can know them: "
            f"{_targets(count, 'unknown_targets')}."
        )
    if count[f"masked_targets{WITH_VALID}"]:
        told.append(
            f"{_targets(count, 'masked_targets' + WITH_VALID)} repeat what the user has in train or valid "
            f"({count['masked_targets']:,} in train): they are masked and can never be hit."
        )
    if count["masked_valid_targets"]:
        told.append(
            f"{count['masked_valid_targets']:,} validation targets repeat what the user has in train."
        )
    return told


def _number(value: Any) -> int:
    """Return a count, as a number or as text, 0 where a file of an older version has none."""
    return 0 if value in (None, "") or value != value else int(float(value))


def _later(count: Mapping[str, int], name: str) -> str:
    return f" ({count[name + WITH_VALID]:,} none in train and valid)"


def _targets(count: Mapping[str, int], name: str) -> str:
    total = count["test_targets"]
    return f"{count[name]:,} of {total:,} test targets ({count[name] / max(total, 1):.1%})"
