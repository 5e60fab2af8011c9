"""DLAE: a linear autoencoder with dropout and a free diagonal (Steck, NeurIPS 2020)."""

from __future__ import annotations

from recspectra.models.edlae import EDLAE


class DLAE(EDLAE):
    """B = (X^T X + diag(gamma))^-1 X^T X, gamma_j = lambda + p / (1 - p) d_j; p = 0 is LAE."""

    @property
    def bound(self) -> float:
        """Largest diagonal entry of B: no bound."""
        return 1.0
