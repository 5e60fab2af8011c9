"""BSPM: blurring and sharpening as linear differential equations on rows (Choi et al., SIGIR 2023).

With P = R^T R and L = D_I^-1/2 V_k V_k^T D_I^1/2 for the leading eigenvectors V_k of P:

    blur        B = x P              one Euler step of a unit of time
    ideal       I = x L              an ideal low-pass filter
    sharpen     dS/dt = -S P         for a time T in K steps of h = T / K

A step of sharpening is a polynomial of P, since the equation is linear: 1 - h P for `euler`,
1 - h P + (h P)^2 / 2 - (h P)^3 / 6 + (h P)^4 / 24 for `rk4`. With s(P) for a step,

    merge early    (B + beta I) s(P)^K
    merge late     B s(P)^K + beta I

`combine` replaces the end point S_K by the mean over the points B, S_1, ..., S_K. A step
h > 1 makes 1 - h P indefinite, which is meant: it overshoots.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.polynomial import Polynomial

from recspectra.recommender import History, Recommender, Run, Task
from recspectra.spectral.operators import degrees, normalised, power
from recspectra.spectral.places import Array
from recspectra.spectral.polynomials import (
    Filter,
    Powers,
    formed_if_better,
    in_complement,
    polynomial_block,
)

TAYLOR = {"euler": (1.0, -1.0), "rk4": (1.0, -1.0, 1 / 2, -1 / 6, 1 / 24)}  # of exp(-z)


class BSPM(Recommender):
    """Apply one polynomial of P to a row, and one to the ideal filter's right-hand factor."""

    state_names = ("r", "dense", "left", "right")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Scale the eigenvectors and sharpen them; form the polynomial where that is faster."""
        p, matrix = self.params, task.train.matrix
        _, d_item = degrees(matrix)
        vectors = task.spectrum("item-similarity", p.rank).vectors
        self.r = normalised(matrix).astype(np.float32)
        powers = partial(task.shared, ("similarity-powers",), lambda: Powers(self.r))
        linear, ideal = self._polynomials()
        self.dense = formed_if_better(powers, self.r, linear, p.memory_gb)
        self.left = (power(d_item, -0.5)[:, None] * vectors).astype(np.float32)
        right = (power(d_item, 0.5)[:, None] * vectors).astype(np.float32)
        self.right = np.float32(p.beta) * polynomial_block(ideal, self.r, right)
        self._prepare()
        return {"formed": bool(self.dense.size)}

    def _polynomials(self) -> tuple[np.ndarray, np.ndarray]:
        """Return those of P that the row and the ideal filter's output go through."""
        p = self.params
        points = sharpened(p.solver, p.sharpen_time, p.sharpen_steps)
        blur, one = Polynomial([0.0, 1.0]), Polynomial([1.0])
        whole, end = points[-1], points[-1]
        if p.combine:  # the first point, B, has no ideal part
            count = len(points) + 1
            whole, end = (sum(points, one)) / count, sum(points[1:], points[0]) / count
        return in_complement(blur * whole), in_complement(end if p.merge == "early" else one)

    def _prepare(self) -> None:
        self.linear = Filter(self.r, self._polynomials()[0], self.dense)

    def score(self, users: np.ndarray, history: History) -> Array:
        """Return the blurred and sharpened rows."""
        scores = self.linear(history.matrix)
        if self.params.beta > 0:
            scores += (history.matrix @ self.left) @ self.right.T
        return scores


def sharpened(solver: str, time: float, steps: int) -> list[Polynomial]:
    """Return s(z), s(z)^2, ..., s(z)^K: what leads from the start to each point of time."""
    step = time / steps
    once = Polynomial([scale * step**degree for degree, scale in enumerate(TAYLOR[solver])])
    return [once**count for count in range(1, steps + 1)]
