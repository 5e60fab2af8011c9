"""EDLAE: a linear autoencoder with dropout and a diagonal of zeros (Steck, NeurIPS 2020)."""

from __future__ import annotations

from recspectra.layers.linear_autoencoder import LinearAutoencoder


class EDLAE(LinearAutoencoder):
    """EASE whose ridge grows with an item's degree, lambda + p / (1 - p) d_j.

    That is the limit of full emphasis on the entries that are dropped.
    """

    @property
    def dropout(self) -> float:
        """Share p of a user's items that the fit leaves out of the input."""
        return self.params.dropout
