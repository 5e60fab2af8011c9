"""Moments at which a split is cut: code that decides on parts, and so counts in hashes, as no schema does."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(value: str | float) -> float:
    """Return a date, or a date with time, as seconds since 1970 (UTC without a zone); numbers stay.

    Raises
    ------
    ValueError
        The text is no date.
    """
    if not isinstance(value, str):
        return float(value)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(
            f'\'{value}\' is no date; write "2020-01-31" or "2020-01-31 12:00:00", or a number of seconds'
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
