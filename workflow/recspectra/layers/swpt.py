"""The stationary wavelet packet transform on batches of sequences of different lengths.

A band is a linear map of a signal, so it is a matrix for each length: the matrices are made
once, and a batch takes those of its rows. Each row is transformed at its own length, whatever
else is in the batch, which costs less than filtering on a CPU and is a plain product on a GPU.
"""

from __future__ import annotations

import math

import numpy as np
import torch

from recspectra.spectral.wavelets import band_positions, check_depth, packet_operators

MIN_BINS = 4  # frequencies at which the spectrum of a band is looked at, at least
FLOOR = 1e-6  # of shares whose logarithm is taken


def table_gigabytes(levels: int, longest: int) -> float:
    """Return what the matrices of all lengths take."""
    return 4.0 * 2**levels * (longest + 1) * longest**2 / 1024**3


class Packets:
    """Bands of right-aligned sequences.

    Parameters
    ----------
    wavelet : str
        Name of an orthogonal wavelet of PyWavelets.
    levels : int
        l; there are B = 2^l bands.
    longest : int
        W, the longest sequence.
    extension, order : str
        As in `recspectra.spectral.wavelets.swpt`.
    device : torch.device or str
        Where the sequences live.

    Raises
    ------
    ConfigError
        The wavelet does not exist or the depth does not fit the longest sequence.
    """

    def __init__(
        self, wavelet: str, levels: int, longest: int, extension: str = "symmetric",
        order: str = "frequency", device: str | torch.device = "cpu",
    ) -> None:  # fmt: skip
        check_depth(wavelet, levels, longest)
        self.bands, self.longest = 2**levels, longest
        table = np.zeros((self.bands, longest + 1, longest, longest), dtype=np.float32)
        for length in range(1, longest + 1):
            matrices = packet_operators(wavelet, levels, length, extension, order)
            table[:, length, longest - length :, longest - length :] = matrices
        self.table = torch.as_tensor(table, device=device)
        places = band_positions(levels)
        self.positions = np.sort(places) if order == "frequency" else places
        self._bases = {kind: self._basis(kind).to(device) for kind in ("in_band", "all_bins")}

    def __call__(self, x: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the bands, shape (B, b, w, d).

        Parameters
        ----------
        x : tensor, shape (b, w, d)
            Row r holds a sequence in its last `lengths[r]` columns, w <= W. What stands
            before it does not matter; the bands are zero there.
        lengths : int64 tensor, shape (b,)
        """
        w = x.shape[1]
        return self.table[:, lengths, self.longest - w :, self.longest - w :] @ x

    def flatness(self, bands: torch.Tensor, bins: str = "in_band") -> torch.Tensor:
        """Return the spectral flatness of bands along time, shape (b, B), in (0, 1].

        SFM = exp(mean_f log S(f)) / mean_f S(f) with S(f) = sum_c |sum_t z[t, c] e^(-2 pi i f t)|^2,
        the power of all channels. Frequencies f are the middles of equal intervals of the
        band's own range (`in_band`) or of the whole range, [0, 1/2] (`all_bins`): white noise
        then has about 1 in its own range, but next to nothing in the whole one.
        """
        basis = self._bases[bins][:, :, self.longest - bands.shape[2] :]
        parts = torch.matmul(basis[:, None], bands)  # (B, b, 2 bins, d)
        power = parts.square().sum(dim=3).unflatten(2, (2, -1)).sum(dim=2)
        relative = power / (power.mean(dim=2, keepdim=True) + 1e-12)
        return torch.log(relative + FLOOR).mean(dim=2).exp().T

    def _basis(self, kind: str) -> torch.Tensor:
        """Return cosines and sines at the frequencies of each band, shape (B, 2 bins, W)."""
        if kind == "in_band":
            bins = max(MIN_BINS, math.ceil(self.longest / (2 * self.bands)))
            low, width = self.positions / (2 * self.bands), 0.5 / self.bands
        else:
            bins = max(MIN_BINS, math.ceil(self.longest / 2))
            low, width = np.zeros(self.bands), 0.5
        f = low[:, None] + width * (np.arange(bins) + 0.5) / bins
        phases = 2 * np.pi * f[:, :, None] * np.arange(self.longest)
        waves = np.concatenate([np.cos(phases), np.sin(phases)], axis=1)
        return torch.as_tensor(waves, dtype=torch.float32)


def energy(bands: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """Return the mean energy of each band over the steps of its sequence, shape (b, B)."""
    return (bands.square().sum(dim=(2, 3)) / lengths.clamp(min=1)).T
