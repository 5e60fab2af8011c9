"""S-Diff: anisotropic diffusion in the graph spectral domain (Xia et al., WSDM 2025).

A user's row x becomes v = U^T x with the leading K eigenvectors of the item
similarity A = X~^T X~; d = 1 - eigenvalue is the frequency. Noise is added per
frequency (Eqs. 9-14), a denoiser guided by the user's history recovers v (Algorithms
1 and 2), and scores are U v.

What the paper leaves open is a parameter: `film` (Eq. 17), `uncond_by` (whether the
condition is dropped for a sample or a whole batch), `schedule`, `standardize`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import nn

from recspectra.models.base import History, Recommender, Run, Task
from recspectra.runtime import axis_seed
from recspectra.spectral.schedules import schedule
from recspectra.training.batches import RowBatch, UserRows
from recspectra.training.loop import LoopSettings, TrainingLoop

TIME_FEATURES = 16


class Denoiser(nn.Module):
    """FiLM fusion of noisy signal and condition, then an MLP with a time code (Fig. 4).

    Parameters
    ----------
    size : int
        Number of frequencies K.
    hidden : int
        Width of the hidden layer.
    film : {"elementwise", "linear", "concat", "condition-only"}
        How gamma and beta follow from the condition (Eq. 17): an affine function of
        the same frequency, a full linear layer, no FiLM but concatenation (the
        ablation of Fig. 6), or FiLM of the condition without the noisy signal.
    """

    def __init__(self, size: int, hidden: int, film: str) -> None:
        super().__init__()
        self.film = film
        if film in ("elementwise", "condition-only"):
            self.gamma_weight = nn.Parameter(torch.zeros(size))
            self.gamma_bias = nn.Parameter(torch.ones(size))
            self.beta_weight = nn.Parameter(torch.zeros(size))
            self.beta_bias = nn.Parameter(torch.zeros(size))
        elif film == "linear":
            self.gamma, self.beta = nn.Linear(size, size), nn.Linear(size, size)
        width = 2 * size if film == "concat" else size
        self.mlp = nn.Sequential(nn.Linear(width + TIME_FEATURES, hidden), nn.SiLU(), nn.Linear(hidden, size))

    def forward(self, noisy: torch.Tensor, condition: torch.Tensor, time: torch.Tensor) -> torch.Tensor:
        """Return the estimate of the clean signal.

        Parameters
        ----------
        noisy, condition : tensors, shape (b, K)
            v_t and U^T c; a zero condition means "no condition".
        time : tensor, shape (b,)
            Diffusion time in [0, tau].
        """
        return self.mlp(torch.cat([self.fuse(noisy, condition), time_code(time)], dim=1))

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


class SDiff(Recommender):
    """Spectral diffusion with classifier-free guidance."""

    state_names = ("basis", "frequencies", "scale", "weights", "noise_seed")

    def fit(self, task: Task, run: Run) -> dict[str, Any]:
        """Train the denoiser (Algorithm 1)."""
        p = self.params
        spectrum = task.spectrum("item-similarity", p.rank)
        self.device = torch.device(run.device)
        self.basis = spectrum.vectors
        self.frequencies = np.clip(1.0 - spectrum.values, 0.0, None)
        self.noise_seed = np.array(axis_seed(run.seed, "inference"), dtype=np.int64)
        self.scale = self._scale(task)
        torch.manual_seed(axis_seed(run.seed, "init"))
        self.denoiser = Denoiser(spectrum.rank, p.hidden, p.film).to(self.device)
        self._to_device()
        loop = TrainingLoop(
            self.denoiser,
            UserRows(task.train, p.batch_size, run.device),
            self._loss,
            LoopSettings(p.epochs, p.learning_rate, 0.0, p.eval_every, p.patience),
            run.seed,
            (lambda: run.validate(self.score)) if run.validate else None,
            run.checkpoints,
        )
        log = loop.run(run.progress(p.epochs))
        self.weights = _packed(self.denoiser)
        return {**log, "frequencies": self.frequencies.tolist()}

    def _scale(self, task: Task) -> np.ndarray:
        """Return what each frequency is divided by: its root mean square, or 1."""
        if not self.params.standardize:
            return np.ones(self.basis.shape[1], dtype=np.float32)
        signal = task.train.matrix @ self.basis
        return np.maximum(np.sqrt(np.mean(signal**2, axis=0)), 1e-6).astype(np.float32)

    def _to_device(self) -> None:
        self._basis = torch.as_tensor(self.basis, device=self.device)
        self._scaled = self._basis / torch.as_tensor(self.scale, device=self.device)

    def _noise_levels(self, times: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        p = self.params
        levels = schedule(p.schedule, times, self.frequencies, p.alpha_min, p.sigma_max)
        return tuple(torch.as_tensor(x, dtype=torch.float32, device=self.device) for x in levels)

    def _loss(self, batch: RowBatch, generator: torch.Generator) -> torch.Tensor:
        """Squared error of the recovered signal (Eq. 16) for one batch."""
        p = self.params
        clean = batch.project(self._scaled)
        keep = torch.rand(len(batch.items), generator=generator, device=self.device) >= p.mask
        condition = batch.project(self._scaled, keep.to(torch.float32))
        rows = len(batch.users) if p.uncond_by == "sample" else 1
        drop = torch.rand(rows, 1, generator=generator, device=self.device) < p.p_uncond
        condition = torch.where(drop, torch.zeros_like(condition), condition)
        time = torch.rand(len(batch.users), generator=generator, device=self.device) * p.tau
        alpha, sigma = self._noise_levels(time.cpu().numpy())
        noise = torch.randn(clean.shape, generator=generator, device=self.device)
        estimate = self.denoiser(alpha * clean + sigma * noise, condition, time)
        return ((estimate - clean) ** 2).sum(dim=1).mean()

    @torch.no_grad()
    def score(self, users: np.ndarray, history: History) -> np.ndarray:
        """Sample with the full history as condition (Algorithm 2) and return U v."""
        p = self.params
        rows = torch.as_tensor(history.matrix @ (self.basis / self.scale), device=self.device)
        times = np.linspace(0.0, p.tau, p.steps + 1)
        alpha, sigma = self._noise_levels(times)
        signal = alpha[-1] * rows + sigma[-1] * self._noise(users, p.steps)
        for step in range(p.steps, 0, -1):
            clean = self._guided(signal, rows, float(times[step]))
            signal = alpha[step - 1] * clean
            if step > 1:
                signal = signal + sigma[step - 1] * self._noise(users, step - 1)
        scaled = signal * torch.as_tensor(self.scale, device=self.device)
        return (scaled @ self._basis.T).cpu().numpy()

    def _guided(self, signal: torch.Tensor, condition: torch.Tensor, time: float) -> torch.Tensor:
        """Mix conditional and unconditional estimates, (1 - s) and s."""
        times = torch.full((len(signal),), time, device=self.device)
        s = self.params.guidance
        guided = (1.0 - s) * self.denoiser(signal, condition, times)
        if s:
            guided = guided + s * self.denoiser(signal, torch.zeros_like(condition), times)
        return guided

    def _noise(self, users: np.ndarray, step: int) -> torch.Tensor:
        """Return standard normal noise that depends on seed, step and user, not on the batch."""
        noise = counter_normal(int(self.noise_seed), step, users, self.basis.shape[1])
        return torch.as_tensor(noise, device=self.device)

    def load_state(self, arrays: Any) -> None:
        """Restore the denoiser from its packed weights."""
        super().load_state(arrays)
        self.device = torch.device("cpu")
        self.denoiser = Denoiser(self.basis.shape[1], self.params.hidden, self.params.film)
        nn.utils.vector_to_parameters(torch.as_tensor(self.weights), self.denoiser.parameters())
        self.denoiser.eval()
        self._to_device()


def _packed(module: nn.Module) -> np.ndarray:
    return nn.utils.parameters_to_vector(module.parameters()).detach().cpu().numpy()


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
