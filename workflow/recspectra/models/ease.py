"""EASE: a full-rank item-item regression in closed form (Steck, WWW 2019)."""

from __future__ import annotations

from recspectra.layers.linear_autoencoder import LinearAutoencoder


class EASE(LinearAutoencoder):
    """B = I - P / diag(P) by columns, P = (X^T X + lambda I)^-1: no dropout, a diagonal of zeros."""
