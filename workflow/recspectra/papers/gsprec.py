"""How much of the users' signals lies in which band of the graph's spectrum.

GSPRec's Appendices C and G say that coefficients of 0.3 < lambda < 0.8 are larger for
user-specific patterns than for global trends. Three signals on the items are measured:

`whole row`
    x_u, what a user interacted with.
`global trend`
    The mean row over users, the popularity profile p.
`user-specific`
    x_u without its part along p: x_u - (x_u . p / p . p) p.

Each is placed on the item nodes of the graph, 0 on the user nodes. With the orthonormal
eigenvectors u_i of its Laplacian, the share of a band is the sum of (u_i . x)^2 over the
eigenvalues in it, divided by x . x. Only the leading pairs are computed: the energy that
they do not hold lies at larger eigenvalues and is its own row, `beyond`.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from recspectra.data.interactions import Interactions
from recspectra.spectral.spectrum import Spectrum

EDGES = {"low": (0.0, 0.3), "middle": (0.3, 0.8), "high": (0.8, 2.0)}
BEYOND = "beyond"
COLUMNS = ["signal", "band", "low", "high", "pairs", "share"]
BATCH_NUMBERS = 8_000_000  # coefficients held at once: 64 MB of float64
ROUNDING = 1e-9  # eigenvalues of a Laplacian may come out just below 0


def energy_bands(train: Interactions, spectrum: Spectrum) -> pd.DataFrame:
    """Return the share of each signal's energy per band of Laplacian eigenvalues.

    Parameters
    ----------
    train : Interactions
        m users, n items.
    spectrum : Spectrum
        Leading pairs of a normalised adjacency A with items as its last n nodes; the
        Laplacian's eigenvalues are 1 - those of A.

    Returns
    -------
    DataFrame
        `signal`, `band`, `low` and `high` (the band's ends; of `beyond` the last computed
        eigenvalue and 2), `pairs` (computed in the band) and `share`: the mean over the
        users that have such a signal. The shares of a signal sum to 1.
    """
    frequencies = np.maximum(1.0 - spectrum.values, 0.0)
    bands = np.stack([_inside(frequencies, *edges) for edges in EDGES.values()], axis=1)
    items = spectrum.vectors[-train.n_items :]
    profile = np.asarray(train.matrix.mean(axis=0), dtype=np.float64).ravel()
    rows = {
        "global trend": _shares((profile @ items)[None] ** 2 @ bands, np.array([profile @ profile])),
        **_user_shares(train, items, bands, profile),
    }
    ends = [*EDGES.values(), (float(frequencies.max()), 2.0)]
    pairs = [*bands.sum(axis=0).astype(int), 0]
    return pd.DataFrame(
        [
            (signal, band, *ends[j], pairs[j], shares[j])
            for signal, shares in rows.items()
            for j, band in enumerate([*EDGES, BEYOND])
        ],
        columns=COLUMNS,
    )


def _inside(frequencies: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return 1 for each eigenvalue in [low, high), with 2 itself in the last band."""
    top = high if high < 2.0 else 2.0 + ROUNDING
    return ((frequencies >= low) & (frequencies < top)).astype(np.float64)


def _shares(captured: np.ndarray, energy: np.ndarray) -> np.ndarray:
    """Return the mean share per band, and what no computed pair holds, over rows with energy."""
    some = energy > ROUNDING
    if not some.any():
        return np.full(captured.shape[1] + 1, np.nan)
    shares = (captured[some] / energy[some, None]).mean(axis=0)
    return np.append(shares, max(0.0, 1.0 - shares.sum()))


def _user_shares(
    train: Interactions, items: np.ndarray, bands: np.ndarray, profile: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the shares of the users' rows, and of the rows without their part along the profile."""
    along = train.matrix @ profile / max(profile @ profile, ROUNDING)
    trend = profile @ items
    size = max(1, BATCH_NUMBERS // items.shape[1])
    whole, own = [], []
    for start in range(0, train.n_users, size):
        coefficients = np.asarray(train.matrix[start : start + size] @ items, dtype=np.float64)
        whole.append(coefficients**2 @ bands)
        own.append((coefficients - along[start : start + size, None] * trend) ** 2 @ bands)
    lengths = np.diff(train.matrix.indptr).astype(np.float64)
    rest = lengths - along**2 * (profile @ profile)
    rest[rest < 1e-6 * lengths] = 0.0  # the row is the profile, up to rounding
    return {
        "whole row": _shares(np.concatenate(whole), lengths),
        "user-specific": _shares(np.concatenate(own), rest),
    }
