"""S-Diff: anisotropic diffusion in the graph spectral domain (Xia et al., WSDM 2025).

A user's row x becomes v = U^T x with the leading K eigenvectors of the item
similarity A = X~^T X~ with X~ = D_U^-e X D_I^-1/2; d = 1 - eigenvalue is the frequency, of
eigenvalues over the largest. Noise is added per frequency (Eqs. 9-14), a denoiser guided by
the user's history recovers v (Algorithms 1 and 2), and scores are U v. The paper has e = 1/2;
e = 1/4 is GiffCF's graph.

What the paper leaves open is a parameter, see the YAML.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from recspectra.layers.trained import Trained
from recspectra.recommender import History, Run, Task
from recspectra.runtime import axis_seed
from recspectra.spectral.schedules import schedule
from recspectra.training.batches import RowBatch, UserRows

TIME_FEATURES = 16
CHUNK = 4096  # users whose signals are computed at once
KEPT_NUMBERS = 64_000_000  # of noise that is kept from one validation to the next: 256 MB
ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "tanh": nn.Tanh}


# ---------------------------------------------------------------------------- denoiser


class Denoiser(nn.Module):
    """FiLM fusion of noisy signal and condition, then an MLP with a time code (Fig. 4).

    Parameters
    ----------
    size : int
        Number of frequencies K.
    hidden : int
        Width of the hidden layers.
    film : {"elementwise", "linear", "concat", "condition-only"}
        How gamma and beta follow from the condition (Eq. 17): an affine function of
        the same frequency, a full linear layer, no FiLM but concatenation (the
        ablation of Fig. 6), or FiLM of the condition without the noisy signal.
    layers : int
        Number of hidden layers.
    activation : {"silu", "relu", "tanh"}
        What stands between layers.
    residual : {"none", "noisy", "condition"}
        What is added to the output of the MLP.
    """

    def __init__(
        self, size: int, hidden: int, film: str, layers: int = 1, activation: str = "silu",
        residual: str = "none",
    ) -> None:  # fmt: skip
        super().__init__()
        self.film, self.residual = film, residual
        if film in ("elementwise", "condition-only"):
            self.gamma_weight = nn.Parameter(torch.zeros(size))
            self.gamma_bias = nn.Parameter(torch.ones(size))
            self.beta_weight = nn.Parameter(torch.zeros(size))
            self.beta_bias = nn.Parameter(torch.zeros(size))
        elif film == "linear":
            self.gamma, self.beta = nn.Linear(size, size), nn.Linear(size, size)
        width = (2 * size if film == "concat" else size) + TIME_FEATURES
        stack: list[nn.Module] = []
        for _ in range(layers):
            stack += [nn.Linear(width, hidden), ACTIVATIONS[activation]()]
            width = hidden
        self.mlp = nn.Sequential(*stack, nn.Linear(width, size))

    def forward(self, noisy: torch.Tensor, condition: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Return the estimate of the clean signal.

        Parameters
        ----------
        noisy, condition : tensors, shape (b, K)
            v_t and U^T c; a zero condition means "no condition".
        time : tensor, shape (b,)
            What stands for the diffusion time in the time code.
        """
        estimate = self.mlp(torch.cat([self.fuse(noisy, condition), time_code(time)], dim=1))
        if self.residual == "none":
            return estimate
        return estimate + (noisy if self.residual == "noisy" else condition)

    def fuse(self, noisy: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return v_t + gamma * U^T c + beta (after Eq. 17)."""
        if self.film == "concat":
            return torch.cat([noisy, condition], dim=1)
        if self.film == "linear":
            gamma, beta = self.gamma(condition), self.beta(condition)
        else:
            gamma = self.gamma_weight * condition + self.gamma_bias
            beta = self.beta_weight * condition + self.beta_bias
        modulated = gamma * condition + beta
        return modulated if self.film == "condition-only" else noisy + modulated


def time_code(time: torch.Tensor) -> torch.Tensor:
    """Return the sinusoidal code of a time in [0, 1], shape (b, TIME_FEATURES)."""
    half = TIME_FEATURES // 2
    rates = torch.exp(-math.log(1e4) * torch.arange(half, device=time.device) / half)
    angles = 1000.0 * time[:, None] * rates[None, :]
    return torch.cat([torch.sin(angles), torch.cos(angles)], dim=1)


# ------------------------------------------------------------------------------ model


class SDiff(Trained):
    """Spectral diffusion with classifier-free guidance.

    Attributes
    ----------
    basis : float32 array, shape (n, K)
        Eigenvectors U.
    frequencies : float64 array, shape (K,)
        Eigenvalues d of I - A over the largest of A.
    scale : float32 array, shape (K,)
        What each frequency of a signal is divided by.
    item_scale : float32 array, shape (n,)
        g in v = U^T g x and x = U v / g.
    noise_seed : int64 array, shape ()
        Seed of the noise of Algorithm 2.
    parts : dict
        Stages of `score`, each a method, for the break-down of its time.
    """

    state_names = ("basis", "frequencies", "scale", "item_scale", "noise_seed")
    _draws: Draws | None = None  # while it is fitted
    parts: ClassVar[dict[str, str]] = {
        "transform": "transform", "denoiser": "sample", "back-transform": "inverse",
    }  # fmt: skip

    def prepare(self, task: Task, run: Run) -> None:
        """Take the eigenpairs and what signals are divided by."""
        exponent = self.params.user_exponent
        spectrum = task.spectrum(f"item-similarity-u{exponent}", self.params.rank)
        largest = 1.0 if exponent == 0.5 else spectrum.values[0]  # for 1/2 it is 1 but for rounding
        self.basis = spectrum.vectors
        self.frequencies = np.clip(1.0 - spectrum.values / largest, 0.0, None)
        self.noise_seed = np.array(axis_seed(run.seed, "inference"), dtype=np.int64)
        degree = np.bincount(task.train.matrix.indices, minlength=task.train.n_items)
        exponent = -0.5 if self.params.basis == "degree" else 0.0
        self.item_scale = np.maximum(degree, 1).astype(np.float32) ** np.float32(exponent)
        self.scale = self._scale(task)

    def _scale(self, task: Task) -> np.ndarray:
        """Return what each frequency is divided by: its root mean square, or 1."""
        if not self.params.standardize:
            return np.ones(self.basis.shape[1], dtype=np.float32)
        signal = task.train.matrix @ (self.basis * self.item_scale[:, None])
        return np.maximum(np.sqrt(np.mean(signal**2, axis=0)), 1e-6).astype(np.float32)

    def build(self) -> Denoiser:
        """Return the denoiser; put the transform on the device."""
        p = self.params
        self._basis = torch.as_tensor(self.basis, device=self.device)
        self._unscale = torch.as_tensor(self.scale, device=self.device)
        self._items = torch.as_tensor(self.item_scale, device=self.device)
        self._transform = self._basis * self._items[:, None] / self._unscale
        return Denoiser(self.basis.shape[1], p.hidden, p.film, p.layers, p.activation, p.residual)

    def batches(self, task: Task) -> UserRows:
        """Return users' rows; transform those of all users once."""
        rows = UserRows(task.train, self.params.batch_size, str(self.device))
        users = torch.arange(task.train.n_users, device=self.device)
        self._clean = torch.cat([rows.rows(c).project(self._transform) for c in users.split(CHUNK)])
        self._weights = self._unscale ** (2.0 * self.params.loss_power)
        self._weights = self._weights / self._weights.mean()
        return rows

    def _noise_levels(self, times: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        p = self.params
        levels = schedule(p.schedule, times, self.frequencies, p.alpha_min, p.sigma_max)
        return tuple(torch.as_tensor(x, dtype=torch.float32, device=self.device) for x in levels)

    def loss(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Squared error of the recovered signal (Eq. 16) for one batch."""
        p = self.params
        clean = self._clean[batch.users]
        condition = self._condition(batch, generator)
        time = torch.rand(len(batch.users), generator=generator, device=self.device) * p.tau
        alpha, sigma = self._noise_levels(time.cpu().numpy())
        noise = torch.randn(clean.shape, generator=generator, device=self.device)
        estimate = self.module(alpha * clean + sigma * noise, condition, self._shown(time))
        errors = (estimate - clean) ** 2
        if p.loss_power:
            errors = errors * self._weights
        return errors.sum(dim=1).mean()

    def _condition(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Return U^T Mask(x), or 0 where the condition is dropped (Algorithm 1)."""
        p = self.params
        condition = kept(batch, self._keep(batch, generator)).project(self._transform)
        if p.rescale:
            condition = condition / (1.0 - p.mask)
        rows = len(batch.users) if p.uncond_by == "sample" else 1
        drop = torch.rand(rows, 1, generator=generator, device=self.device) < p.p_uncond
        return torch.where(drop, torch.zeros_like(condition), condition)

    def _keep(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Return which interactions of a batch the condition keeps, bool."""
        p, count = self.params, len(batch.items)
        if p.mask_by == "item":
            whole = torch.rand(int(self.shape[1]), generator=generator, device=self.device) >= p.mask
            return whole[batch.items]
        draws = torch.rand(count, generator=generator, device=self.device)
        if p.mask_by == "interaction":
            return draws >= p.mask
        shares = 2.0 * p.mask * torch.rand(len(batch.users), generator=generator, device=self.device)
        return draws >= torch.repeat_interleave(shares, batch.lengths)

    def _shown(self, time: torch.Tensor) -> torch.Tensor:
        """Return what the time code is made of."""
        p = self.params
        if p.time_code == "none":
            return torch.zeros_like(time)
        return time if p.time_code == "continuous" else time / p.tau * p.steps / 1000.0

    @torch.no_grad()
    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Sample with the full history as condition (Algorithm 2) and return U v."""
        return self.inverse(self.sample(users, self.transform(history))).cpu().numpy()

    def transform(self, history: History) -> torch.Tensor:
        """Return U^T x of users' histories, shape (b, K)."""
        rows = history.matrix
        items, offsets = (
            torch.as_tensor(a.astype(np.int64), device=self.device) for a in (rows.indices, rows.indptr[:-1])
        )
        return RowBatch(offsets, items, offsets).project(self._transform)

    def sample(self, users: np.ndarray, rows: torch.Tensor) -> torch.Tensor:
        """Return the recovered signals (Algorithm 2), shape (b, K)."""
        p = self.params
        times = np.linspace(0.0, p.tau, p.steps + 1)
        alpha, sigma = self._noise_levels(times)
        signal = self._noised(alpha[-1] * rows, sigma[-1], users, p.steps)
        for step in range(p.steps, 0, -1):
            clean = self._guided(signal, rows, float(times[step]))
            signal = alpha[step - 1] * clean
            if step > 1:
                signal = self._noised(signal, sigma[step - 1], users, step - 1)
        return signal

    def inverse(self, signal: torch.Tensor) -> torch.Tensor:
        """Return U v, shape (b, n)."""
        scores = (signal * self._unscale) @ self._basis.T
        return scores if self.params.basis == "eigenvectors" else scores / self._items

    def _noised(
        self, signal: torch.Tensor, sigma: torch.Tensor, users: np.ndarray, step: int
    ) -> torch.Tensor:
        """Add noise that depends on seed, step and user, not on the batch."""
        if not self.params.inference_noise:
            return signal
        seed, size = int(self.noise_seed), signal.shape[1]
        draw = self._draws.normal if self._draws else counter_normal
        return signal + sigma * torch.as_tensor(draw(seed, step, users, size), device=self.device)

    def _guided(self, signal: torch.Tensor, condition: torch.Tensor, time: float) -> torch.Tensor:
        """Mix conditional and unconditional estimates, (1 - s) and s."""
        times = self._shown(torch.full((len(signal),), time, device=self.device))
        s = self.params.guidance
        guided = (1.0 - s) * self.module(signal, condition, times)
        if s:
            guided = guided + s * self.module(signal, torch.zeros_like(condition), times)
        return guided

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Train the denoiser (Algorithm 1)."""
        self._draws = Draws()
        try:
            return super().fit(task, run) | {"frequencies": self.frequencies.tolist()}
        finally:
            self._draws = None


def kept(batch: RowBatch, keep: torch.Tensor) -> RowBatch:
    """Return a batch with some of its interactions.

    Parameters
    ----------
    batch : RowBatch
    keep : bool tensor, shape (nnz of the batch,)
    """
    before = torch.cumsum(keep, 0) - keep.to(torch.int64)
    return RowBatch(batch.users, batch.items[keep], before[batch.offsets])


class Draws:
    """Noise that is kept for whoever asks for the same again, as each validation of a fit does.

    Parameters
    ----------
    most : int
        How many numbers are kept; what is drawn beyond is drawn anew each time.
    """

    def __init__(self, most: int = KEPT_NUMBERS) -> None:
        self.left = most
        self._kept: dict[tuple[int, int, int, bytes], np.ndarray] = {}

    def normal(self, seed: int, step: int, users: np.ndarray, size: int) -> np.ndarray:
        """Return `counter_normal` of these arguments; not to be written to."""
        key = (seed, step, size, users.tobytes())
        if key in self._kept:
            return self._kept[key]
        noise = counter_normal(seed, step, users, size)
        if noise.size <= self.left:
            self.left -= noise.size
            self._kept[key] = noise
        return noise


def counter_normal(seed: int, step: int, users: np.ndarray, size: int) -> np.ndarray:
    """Return float32 normals, shape (len(users), size), as a pure function of its arguments.

    A counter-based generator (the finaliser of SplitMix64) makes uniform numbers from
    (seed, step, user, position); Box and Muller's transform makes them normal.
    """
    half = (size + 1) // 2
    base = np.array(axis_seed(seed, f"step-{step}"), dtype=np.uint64)
    counters = users.astype(np.uint64)[:, None] * np.uint64(2 * half)
    counters = counters + np.arange(2 * half, dtype=np.uint64)[None, :] + np.uint64(1)
    with np.errstate(over="ignore"):
        z = base + counters * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    uniform = ((z ^ (z >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log1p(-uniform[:, :half]))
    angle = 2.0 * np.pi * uniform[:, half:]
    normal = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return normal[:, :size].astype(np.float32)
