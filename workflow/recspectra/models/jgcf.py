"""JGCF: Jacobi polynomials of the adjacency as low- and mid-pass filters (Guo et al., KDD 2023)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from recspectra.models.lightgcn import LightGCN

GAIN = 3.0 * math.tanh(1.0 / 3.0)  # what the authors' code multiplies each step by


class JGCF(LightGCN):
    """E_low = mean of J_k^(a,b)(A_hat) E^0 over k = 0..K, E_mid = beta E^0 - E_low.

    Scores are <low_u, low_i> + <mid_u, mid_i>; BPR with L2 on E^0.
    """

    def vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return [low, mid], 2 d entries a row."""
        p, free = self.params, self.module.weight
        gain = GAIN if p.gain == "official" else 1.0
        terms = jacobi(lambda block: self.graph @ block, free, p.layers, p.a, p.b, p.sign, gain)
        low = sum(terms) / len(terms)
        mid = p.beta * free - low
        if p.activation == "tanh":
            mid = torch.tanh(mid)
        return self.module.split(torch.cat([low, mid], dim=1))


def jacobi(
    product: Callable[[torch.Tensor], torch.Tensor], block: torch.Tensor, order: int, a: float, b: float,
    sign: str = "jacobi", gain: float = 1.0,
) -> list[torch.Tensor]:  # fmt: skip
    """Return J_0(A) E, ..., J_K(A) E of the Jacobi polynomials with parameters a and b.

    J_0 = 1, J_1(x) = (a - b)/2 + (a + b + 2)/2 x, and for k > 1, with s = 2k + a + b,

        2k (k+a+b) (s-2) J_k = (s-1) [s (s-2) x + a^2 - b^2] J_{k-1} - 2 (k+a-1) (k+b-1) s J_{k-2}.

    Parameters
    ----------
    product : callable
        E -> A E; one call for each k > 0.
    block : tensor, shape (r, d)
        E.
    order : int
        K.
    a, b : float
        Above -1.
    sign : {"jacobi", "flipped"}
        `flipped` subtracts a^2 - b^2.
    gain : float
        Multiplies the terms of J_{k-1}; its square those of J_{k-2}.
    """
    terms = [block]
    if order > 0:
        terms.append(gain * ((a - b) / 2 * block + (a + b + 2) / 2 * product(block)))
    square = (a * a - b * b) * (-1.0 if sign == "flipped" else 1.0)
    for k in range(2, order + 1):
        s = 2 * k + a + b
        c = 2 * k * (k + a + b) * (s - 2)
        step = (s - 1) * s * (s - 2) / c * product(terms[-1]) + (s - 1) * square / c * terms[-1]
        back = 2 * (k + a - 1) * (k + b - 1) * s / c * terms[-2]
        terms.append(gain * step - gain**2 * back)
    return terms
