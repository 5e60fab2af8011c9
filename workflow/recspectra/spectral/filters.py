"""Frequency responses of spectral filters."""

from __future__ import annotations

import numpy as np


def rescaled(frequencies: np.ndarray, lowest: float, highest: float) -> np.ndarray:
    """Map Laplacian eigenvalues linearly so that `lowest` is 0 and `highest` is 1 (Eq. 7)."""
    span = highest - lowest
    return (frequencies - lowest) / span if span > 0 else np.zeros_like(frequencies)


def gaussian_bandpass(position: np.ndarray, center: float, width: float) -> np.ndarray:
    """Return exp(-(position - center)^2 / width), GSPRec Eq. 7; `position` is in [0, 1]."""
    return np.exp(-((position - center) ** 2) / width)


def ideal_lowpass(position: np.ndarray, cut: float) -> np.ndarray:
    """Return 1 up to a position in [0, 1] and 0 above; a cut of 1 lets everything through."""
    return (position <= cut).astype(np.float64) if cut < 1.0 else np.ones(len(position))
