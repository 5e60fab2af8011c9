"""GiffCF's scores, projected onto the span of leading eigenvectors: a control for what S-Diff can express.

S-Diff's scores are U v with the K leading eigenvectors U of R^T R: whatever its denoiser learns, they lie in
the span of U. Here GiffCF, which sees all frequencies, is scored by s U U^T.
"""

from __future__ import annotations

import numpy as np
import torch

from recspectra.layers.trained import given
from recspectra.models.giffcf import Denoiser, GiffCF
from recspectra.recommender import History, Run, Task
from recspectra.spectral.places import Array


class GiffCFInSpan(GiffCF):
    """GiffCF whose scores s become s U U^T.

    Attributes
    ----------
    basis : float32 array, shape (n, K)
        U.
    """

    state_names = (*GiffCF.state_names, "basis")

    def prepare(self, task: Task, run: Run) -> None:
        """Keep U as well."""
        super().prepare(task, run)
        self.basis = task.spectrum("item-similarity", self.params.rank).vectors

    def build(self) -> Denoiser:
        """Return GiffCF's denoiser; put U on the device."""
        self._basis = torch.as_tensor(self.basis, device=self.device)
        return super().build()

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return z_0 U U^T."""
        scores = torch.as_tensor(super().score(users, history), device=self.device)
        return given(scores @ self._basis @ self._basis.T)
