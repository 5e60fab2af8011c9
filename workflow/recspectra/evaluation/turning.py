"""Who is above whom in how many worlds (see `worlds`), and the smallest change that turns a claim around.

That A is above B in few of the worlds says that the choice of protocol decides between them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

RUN = ["model", "variant", "key", "fit"]
DIMENSIONS = ["metric", "k", "ties", "history", "mask", "users"]
COLUMNS = ["dataset", *RUN, *DIMENSIONS, "value", "seeds"]
EQUAL = 1e-12  # means that are closer are equal but for rounding


def table_of(values: pd.DataFrame) -> pd.DataFrame:
    r"""Return worlds x runs of one dataset: the rows have the index `DIMENSIONS`, a column a run.

    Runs are named `model\0variant\0key\0fit`.
    """
    names = values["model"] + "\0" + values["variant"] + "\0" + values["key"] + "\0" + values["fit"]
    return values.assign(run=names).pivot(index=DIMENSIONS, columns="run", values="value")


def shares_above(table: pd.DataFrame) -> pd.DataFrame:
    """Return in which share of the worlds the run of a row is above that of a column; equal counts for none.

    Parameters
    ----------
    table : DataFrame
        What `table_of` returns; worlds that some run lacks are left out.
    """
    values = table.dropna().to_numpy()
    shares = [(values[:, [i]] > values + EQUAL).mean(axis=0) for i in range(values.shape[1])]
    square = np.reshape(shares, (values.shape[1],) * 2)  # of no run, too
    return pd.DataFrame(square, index=table.columns, columns=table.columns)


class Turn(NamedTuple):
    """How a comparison fares over all worlds.

    Attributes
    ----------
    worlds : int
        How many there are.
    above : float
        Share of them in which the first is above.
    base : float
        Difference in the world that was claimed.
    changes : int
        How many dimensions the nearest world differs in that says the opposite; 0 where none does.
    near : int
        How many worlds are as near as that and say the opposite.
    change : dict
        Dimension -> its value there.
    difference : float
        Difference there, NaN where there is none.
    """

    worlds: int
    above: float
    base: float
    changes: int
    near: int
    change: dict[str, object]
    difference: float


def turning(differences: pd.Series, base: Mapping[str, object]) -> Turn:
    """Return the smallest change of protocol that turns a comparison around.

    Where both are equal nothing is turned around. Of worlds that differ in equally many dimensions the one
    whose changes stand first in `DIMENSIONS` is named, and of several values of a dimension the one with
    the largest difference.

    Parameters
    ----------
    differences : Series
        First minus second in every world, with the index `DIMENSIONS`.
    base : mapping
        The world that was claimed: a value of each dimension.

    Raises
    ------
    KeyError
        That world is none of them.
    """
    here = float(differences.loc[tuple(base[name] for name in DIMENSIONS)])
    index = differences.index.to_frame(index=False)
    changed = np.column_stack([index[name] != base[name] for name in DIMENSIONS])
    values = differences.to_numpy()
    turned = np.flatnonzero(values < -EQUAL if here > EQUAL else values > EQUAL)
    above = float((values > EQUAL).mean())
    if not len(turned):
        return Turn(len(values), above, here, 0, 0, {}, float("nan"))
    count = changed[turned].sum(axis=1)
    nearest = turned[count == count.min()]
    order = sorted(nearest, key=lambda i: (tuple(~changed[i]), -abs(values[i])))
    first = order[0]
    change = {name: index[name].iloc[first] for name, c in zip(DIMENSIONS, changed[first], strict=True) if c}
    return Turn(len(values), above, here, int(count.min()), len(nearest), change, float(values[first]))
