"""WaveRec: a fixed pair of wavelet filters over time in place of attention."""

from __future__ import annotations

import numpy as np
import torch

from recspectra.layers.sequential import Block, Encoder, Rescaled, SequenceModel

SCALING = {  # orthonormal low-pass taps; the high-pass ones follow from them
    "haar": np.array([1.0, 1.0]) / np.sqrt(2.0),
    "db2": np.array([1 + np.sqrt(3), 3 + np.sqrt(3), 3 - np.sqrt(3), 1 - np.sqrt(3)]) / (4 * np.sqrt(2.0)),
}


class WaveRec(SequenceModel):
    """Each mixer is LN(x + dropout(H x + beta^2 G x)) with low-pass taps H and high-pass taps G."""

    def build(self) -> Encoder:
        """Return the encoder."""
        p = self.params
        low, high = (correlation(p.pass_weight * taps, p.max_len, p.reach) for taps in pair(p.wavelet))
        blocks = [
            Block(
                Rescaled(low, high, p.dimensions, p.dropout, p.gradient == "through"),
                p.dimensions, p.hidden, p.dropout,
            )
            for _ in range(p.layers)
        ]  # fmt: skip
        return Encoder(
            int(self.shape[1]), p.max_len, p.dimensions, p.dropout, blocks, zero_pads=p.pads == "zero"
        )


def pair(wavelet: str) -> tuple[np.ndarray, np.ndarray]:
    """Return low-pass and high-pass taps, a quadrature mirror pair: g_k = (-1)^k h_{K-1-k}."""
    low = SCALING[wavelet]
    return low, low[::-1] * (-1.0) ** np.arange(len(low))


def correlation(taps: np.ndarray, length: int, reach: str = "behind") -> torch.Tensor:
    """Return the banded matrix of a correlation over time, float32 (length, length).

    y_t = sum_k taps_k x_{t + k - b}, zero beyond both ends. With `behind` b = K - 1: the taps
    end at column t. With `same` b = floor((K - 1) / 2), as convolutions are padded to keep the
    length: two taps then see one column ahead and none behind, so that the last state of a
    history does not depend on what came before its last item.
    """
    back = len(taps) - 1 if reach == "behind" else (len(taps) - 1) // 2
    place = torch.arange(length) - torch.arange(length)[:, None] + back
    inside = (place >= 0) & (place < len(taps))
    return torch.where(inside, torch.as_tensor(taps.copy()).float()[place.clamp(0, len(taps) - 1)], 0.0)
