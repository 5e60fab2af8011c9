"""What tests of graph models share: small settings, dense adjacencies, products, free vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from recspectra.data.interactions import Interactions
from recspectra.recommender import Recommender

Fitted = Callable[..., Recommender]
SMALL = {"dimensions": 8, "batch_size": 500, "epochs": 2, "eval_every": 1, "learning_rate": 0.01}


def adjacency_of(train: Interactions, loops: bool = False) -> np.ndarray:
    """Dense D^-1/2 A D^-1/2, of A + I with loops."""
    x = train.matrix.toarray().astype(np.float64)
    m, n = x.shape
    a = np.block([[np.zeros((m, m)), x], [x.T, np.zeros((n, n))]]) + loops * np.eye(m + n)
    d = a.sum(1)
    scale = np.divide(1.0, np.sqrt(d), out=np.zeros_like(d), where=d > 0)
    return scale[:, None] * a * scale


def products(stacked: np.ndarray, users: int) -> np.ndarray:
    return stacked[:users] @ stacked[users:].T


def free(model: Recommender) -> np.ndarray:
    """E^0 as float64."""
    return dict(model.module.named_parameters())["tables.weight"].detach().numpy().astype(np.float64)
