"""The full-tree stationary wavelet packet transform (SWPT).

A signal of any length T becomes 2^l bands of the same length: at level j each band is
filtered with a low-pass h and a high-pass g whose taps stand 2^(j-1) steps apart ("a trous"),

    a[t] = sum_k h[k] x[t + s_j - 2^(j-1) k],    d[t] = sum_k g[k] x[t + s_j - 2^(j-1) k],

and nothing is decimated. The taps are those of an orthogonal wavelet divided by the root of
two, so |H|^2 + |G|^2 = 1 at each frequency: with a circular extension the bands are a tight
frame, sum_b ||Z_b||^2 = ||x||^2, and x = sum_b M_b^T Z_b for the matrices M_b of the bands.
The shift s_j puts the filters' middle on t, so that bands stay aligned with the signal.

Taps come from PyWavelets, which has no such transform: its packets are decimated, and its
stationary transforms split the low band alone and need a length divisible by 2^l.
"""

from __future__ import annotations

import numpy as np
import pywt

from recspectra.config.base import ConfigError, nearest

EXTENSIONS = ("symmetric", "circular", "zero")
ORDERS = ("frequency", "natural")


def taps(wavelet: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the low-pass and high-pass taps (h, g) of an orthogonal wavelet, sum h = 1.

    Raises
    ------
    ConfigError
        PyWavelets does not know the name, or the wavelet is not orthogonal.
    """
    known = pywt.wavelist(kind="discrete")
    if wavelet not in known:
        raise ConfigError(f"wavelet {wavelet!r} does not exist{nearest(wavelet, known)}")
    filters = pywt.Wavelet(wavelet)
    if not filters.orthogonal:
        raise ConfigError(f"wavelet {wavelet!r} is not orthogonal; take a Coiflet (coif1) or a Symlet (sym4)")
    return np.array(filters.dec_lo) / np.sqrt(2.0), np.array(filters.dec_hi) / np.sqrt(2.0)


def support(wavelet: str, levels: int) -> int:
    """Return how many steps of the signal one value of a band depends on, (L - 1)(2^l - 1) + 1."""
    return (len(taps(wavelet)[0]) - 1) * (2**levels - 1) + 1


def check_depth(wavelet: str, levels: int, length: int) -> None:
    """Refuse a depth whose filters are wider than any signal: its bands would see the extension alone.

    Raises
    ------
    ConfigError
        `levels` is negative, or the support exceeds `length`.
    """
    if levels < 0:
        raise ConfigError(f"levels is {levels}; it must be 0 or more")
    width = support(wavelet, levels)
    if width > length:
        raise ConfigError(
            f"levels {levels} of wavelet '{wavelet}' is too deep: its filters span {width} steps and the "
            f"longest signal has {length}"
        )


def band_positions(levels: int) -> np.ndarray:
    """Return where each band of the natural order lies in the spectrum, int64, shape (2^l,).

    The band at position p covers the frequencies [p, p + 1] / 2^(l + 1) cycles per step. In
    natural order the bits of an index say low (0) or high (1) from the first level to the
    last; a high-pass mirrors what is below it, so the positions are its inverse Gray code:
    0, 1, 3, 2 for two levels.
    """
    positions = np.arange(2**levels)
    for shift in range(1, levels):
        positions = positions ^ (np.arange(2**levels) >> shift)
    return positions


def frequency_order(levels: int) -> np.ndarray:
    """Return the natural indices of the bands from the lowest to the highest frequency."""
    return np.argsort(band_positions(levels))


def swpt(
    x: np.ndarray, wavelet: str, levels: int, extension: str = "symmetric", order: str = "frequency"
) -> np.ndarray:
    """Return the bands of signals, level by level as the definition says.

    Parameters
    ----------
    x : float array, shape (T, ...)
        Signals along the first axis, of any length T >= 1.
    wavelet : str
        Name of an orthogonal wavelet of PyWavelets.
    levels : int
        l; none gives the signal itself as the only band.
    extension : {"symmetric", "circular", "zero"}
        What lies beyond the ends: the signal mirrored with its last value repeated, the
        signal again, or zeros. It is extended once, not anew at each level.
    order : {"frequency", "natural"}
        Order of the bands: by frequency, or low before high at each split.

    Returns
    -------
    array, shape (2^l, T, ...)
    """
    h, g = taps(wavelet)
    shifts = [_shift(len(h), j) for j in range(levels)]
    right, total = sum(shifts), (len(h) - 1) * (2**levels - 1)
    bands = [_extended(np.asarray(x, dtype=np.float64), total - right, right, extension)]
    for level in range(levels):
        bands = [_filtered(band, f, 2**level) for band in bands for f in (h, g)]
    return np.stack(bands)[_order(order, levels)]


def packet_operators(
    wavelet: str, levels: int, length: int, extension: str = "symmetric", order: str = "frequency"
) -> np.ndarray:
    """Return the matrices M_b of the transform of signals of one length, shape (2^l, T, T)."""
    return swpt(np.eye(length), wavelet, levels, extension, order)


def _shift(n_taps: int, level: int) -> int:
    """Return s_j. An odd span at the first level leaves half a step of delay."""
    return (n_taps - 1) * 2**level // 2


def _order(order: str, levels: int) -> np.ndarray:
    if order not in ORDERS:
        raise ConfigError(f"order of bands {order!r} is not one of {ORDERS}")
    return frequency_order(levels) if order == "frequency" else np.arange(2**levels)


def _extended(x: np.ndarray, left: int, right: int, extension: str) -> np.ndarray:
    t = len(x)
    places = np.arange(-left, t + right)
    if extension == "symmetric":
        places = places % (2 * t)
        return x[np.where(places < t, places, 2 * t - 1 - places)]
    if extension == "circular":
        return x[places % t]
    if extension == "zero":
        return np.pad(x, [(left, right)] + [(0, 0)] * (x.ndim - 1))
    raise ConfigError(f"extension {extension!r} is not one of {EXTENSIONS}")


def _filtered(x: np.ndarray, f: np.ndarray, dilation: int) -> np.ndarray:
    """Convolve where the filter lies inside x, whose length falls by (L - 1) dilation."""
    span = (len(f) - 1) * dilation
    t = len(x) - span
    return sum(f[k] * x[span - k * dilation : span - k * dilation + t] for k in range(len(f)))
