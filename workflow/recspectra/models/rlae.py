"""RLAE: a linear autoencoder whose diagonal is bounded, not zero (Moon et al., SIGIR 2023)."""

from __future__ import annotations

from recspectra.models.edlae import EDLAE


class RLAE(EDLAE):
    """B_jj <= xi for all items; with dropout it is RDLAE, with xi 0 EASE or EDLAE, with xi 1 LAE or DLAE."""

    @property
    def bound(self) -> float:
        """Largest diagonal entry xi of B."""
        return self.params.xi
