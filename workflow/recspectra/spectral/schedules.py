"""Noise schedules of spectral diffusion (S-Diff Eqs. 9-14 and Table 3)."""

from __future__ import annotations

import numpy as np

SCHEDULES = ("vp", "ve", "ddpm")
BETA_FIRST, BETA_LAST = 0.1, 20.0  # DDPM's linear schedule in continuous time


def schedule(
    name: str, times: np.ndarray, frequencies: np.ndarray, alpha_min: float, sigma_max: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return signal scale alpha and noise scale sigma for each time and frequency.

    Parameters
    ----------
    name : {"vp", "ve", "ddpm"}
        `vp`: alpha from the graph's heat kernel (Eq. 13), sigma bound to it (Eq. 14).
        `ve`: the same alpha, sigma grows linearly in time up to sigma_max for all
        frequencies alike. `ddpm`: both are constants over frequencies, linear
        betas from 0.1 to 20 in continuous time; neither bound applies.
    times : array, shape (t,)
        Diffusion times in [0, tau]; 0 means clean.
    frequencies : array, shape (k,)
        Eigenvalues d of the Laplacian I - A.
    alpha_min : float
        Lower bound of the signal that is kept (Eq. 13).
    sigma_max : float
        Upper bound of the noise (Eq. 14).

    Returns
    -------
    alpha, sigma : float64 arrays, shape (t, k)
    """
    times = np.asarray(times, dtype=np.float64)[:, None]
    frequencies = np.asarray(frequencies, dtype=np.float64)[None, :]
    if name == "ddpm":
        exponent = -0.5 * (BETA_FIRST * times + 0.5 * (BETA_LAST - BETA_FIRST) * times**2)
        alpha = np.exp(exponent) * np.ones_like(frequencies)
        return alpha, np.sqrt(1.0 - alpha**2)
    kept = np.exp(-times * frequencies)
    alpha = (1.0 - alpha_min) * kept + alpha_min
    if name == "vp":
        return alpha, np.minimum(np.sqrt(1.0 - kept**2), sigma_max)
    if name == "ve":
        return alpha, np.clip(times, 0.0, 1.0) * sigma_max * np.ones_like(frequencies)
    raise ValueError(f"unknown schedule '{name}'; known: {', '.join(SCHEDULES)}")


def log_snr(alpha: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """Return log of mean signal power over mean noise power, natural log, shape (t,).

    S-Diff defines SNR = alpha^2 / sigma^2 per frequency and prints one number per
    schedule without saying how frequencies are combined. Here both powers are
    averaged over the k frequencies first, log(sum alpha^2 / sum sigma^2), since
    the plain mean of ratios is infinite: under `vp` the frequency 0 gets no noise.
    At time 0 the result is infinite.
    """
    with np.errstate(divide="ignore"):
        return np.log(np.sum(alpha**2, axis=-1)) - np.log(np.sum(sigma**2, axis=-1))
