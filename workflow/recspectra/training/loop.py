"""One training loop for all trained models.

It owns the optimiser, early stopping on validation, checkpoints and resume, the
guard against NaN, mixed precision on a GPU and the progress bar. A model gives it
a module, batches and a loss.

Randomness is drawn anew for each epoch from (seed, epoch), and checkpoints are
taken between epochs, so a run that was killed and resumed ends with the same bytes
as one that was not.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from recspectra.config.scale import NO_CAPS, Caps
from recspectra.files import atomic
from recspectra.runtime import Diverged, axis_seed
from recspectra.training import device

Batches = Callable[[torch.Generator], Iterable[Any]]
Loss = Callable[[Any, torch.Generator], torch.Tensor]
OPTIMISERS = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "adagrad": torch.optim.Adagrad,
}
# One pass over the memory instead of seven; torch has no such kernel for Adamax.
FUSED = {"adam": {"fused": True}, "adamw": {"fused": True}, "adagrad": {"fused": True}}


class NothingToLearn(Exception):
    """An epoch had no batch, or no batch moved a parameter: the module would stay as it was drawn."""


@dataclass(frozen=True)
class LoopSettings:
    """How long and how fast to learn.

    Attributes
    ----------
    epochs : int
        Most epochs; all of them when there is no validation (a refit).
    learning_rate, weight_decay : float
        Of the optimiser.
    eval_every : int
        Epochs between two validations.
    patience : int
        Validations without a gain after which to stop.
    checkpoint_seconds : float
        Least time between two checkpoints.
    mixed_precision : bool
        bfloat16 autocast; used on CUDA only.
    optimiser : {"adam", "adamw", "adamax", "adagrad"}
        Which of torch's optimisers; of `adamw` the weight decay is not part of the gradient.
    """

    epochs: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    eval_every: int = 5
    patience: int = 10
    checkpoint_seconds: float = 20.0
    mixed_precision: bool = False
    optimiser: str = "adam"


@dataclass
class LoopState:
    """What changes from epoch to epoch, apart from tensors."""

    epoch: int = 0
    best_metric: float = -1.0
    best_epoch: int = 0
    since_best: int = 0
    losses: list[float] = field(default_factory=list)
    validation: list[tuple[int, float]] = field(default_factory=list)
    seconds: float = 0.0


class TrainingLoop:
    """Train a module, keep the weights that validate best.

    Parameters
    ----------
    module : torch.nn.Module
        On its device already.
    batches : callable
        Takes a CPU generator, yields the batches of one epoch.
    loss : callable
        Takes a batch and a generator on the module's device, returns a scalar.
    settings : LoopSettings
        Lengths and rates.
    seed : int
        Seed of the run.
    validate : callable or None
        Returns the validation metric of the module as it stands, higher is better.
    checkpoints : Path or None
        Folder for the checkpoint.
    notes : dict, optional
        What the model writes down on the way, as JSON knows it: kept across interruptions.
    made_from : mapping, optional
        What the run is made from (data, code, parameters), as JSON knows it. A checkpoint of anything
        else is removed.
    caps : Caps
        Most epochs and minutes. The checkpoint of a run that one of them ended is that of a run that goes on:
        under higher caps it ends with the same bytes as one that had these at once.
    """

    def __init__(
        self,
        module: torch.nn.Module,
        batches: Batches,
        loss: Loss,
        settings: LoopSettings,
        seed: int,
        validate: Callable[[], float] | None = None,
        checkpoints: Path | None = None,
        notes: dict[str, Any] | None = None,
        made_from: Mapping[str, Any] | None = None,
        caps: Caps = NO_CAPS,
    ) -> None:
        self.module, self.batches, self.loss = module, batches, loss
        self.settings, self.seed, self.validate = settings, seed, validate
        self.device = next(module.parameters()).device
        self.optimiser = OPTIMISERS[settings.optimiser](
            module.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay,
            **FUSED.get(settings.optimiser, {}),
        )  # fmt: skip
        self.state = LoopState()
        self.best = self._weights()
        self.file = checkpoints / "checkpoint.safetensors" if checkpoints else None
        self.notes = {} if notes is None else notes
        self.made_from = json.loads(json.dumps(dict(made_from or {})))
        self.caps = caps

    def run(self, progress: Any) -> dict[str, Any]:
        """Train until done and load the best weights.

        Returns
        -------
        dict
            `epochs`, `best_epoch`, `best_validation`, `loss_curve`, `validation_curve`,
            `capped` (the cap that ended it, `epochs` or `minutes`, or ""),
            `training_seconds` and, of these, `resumed_seconds` that an interrupted run took
            up to the checkpoint from which this one went on.

        Raises
        ------
        NothingToLearn
            There was no batch, or all gradients of the first epoch are zero.
        Diverged
            The loss is NaN or infinite.
        """
        self._resume()
        resumed = self.state.seconds
        saved_at = time.monotonic()
        while not (self._finished() or self._cap_met()):
            started = time.monotonic()
            loss = self._epoch()
            self._validate_if_due()
            self.state.seconds += time.monotonic() - started
            metric = self.state.validation[-1][1] if self.state.validation else None
            progress.update(self.state.epoch, validation=metric, loss=loss)
            if time.monotonic() - saved_at > self.settings.checkpoint_seconds:
                self._checkpoint()
                saved_at = time.monotonic()
        progress.close()
        capped = "" if self._finished() else self._cap_met()
        if capped:
            self._checkpoint()  # before a validation that a run with higher caps would not have
            self._validate_once()
        if self.validate is not None:
            self.module.load_state_dict(self.best)
        self.module.eval()
        return self._log() | {"capped": capped, "resumed_seconds": resumed}

    def _finished(self) -> bool:
        s = self.state
        stopped = self.validate is not None and s.since_best >= self.settings.patience
        return s.epoch >= self.settings.epochs or stopped

    def _cap_met(self) -> str:
        """Return the cap that a run has met, `epochs` or `minutes`; "" for none."""
        if self.state.epoch >= (self.caps.epochs or math.inf):
            return "epochs"
        return "minutes" if self.state.seconds >= 60 * (self.caps.minutes or math.inf) else ""

    def _epoch(self) -> float:
        epoch_seed = axis_seed(self.seed, f"epoch-{self.state.epoch}")
        order = torch.Generator().manual_seed(epoch_seed)
        noise = device.generator(self.device, epoch_seed + 1)
        self.module.train()
        total, count, moved = torch.zeros((), device=self.device), 0, self.state.epoch > 0
        for batch in self.batches(order):
            with device.mixed_precision(self.device, self.settings.mixed_precision):
                loss = self.loss(batch, noise)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            moved = moved or self._has_gradient()
            self.optimiser.step()
            total, count = total + loss.detach(), count + 1
        if not (count and moved):
            what = "no batch moves a parameter, so none has a target" if count else "there is no batch"
            raise NothingToLearn(f"{what} in epoch {self.state.epoch + 1}")
        mean = float(total) / count
        if mean != mean or mean in (float("inf"), float("-inf")):
            raise Diverged(f"the loss became {mean} in epoch {self.state.epoch + 1}")
        self.state.epoch += 1
        self.state.losses.append(mean)
        return mean

    def _has_gradient(self) -> bool:
        """Return whether a gradient differs from zero; looked at until one of the first epoch does."""
        return any(p.grad is not None and bool(p.grad.any()) for p in self.module.parameters())

    def _validate_if_due(self) -> None:
        last = self.state.epoch == self.settings.epochs
        if self.state.epoch % self.settings.eval_every == 0 or last:
            self._validate_once()

    def _validate_once(self) -> None:
        """Validate the module as it stands, keep its weights if they are the best; once an epoch at most."""
        s = self.state
        if self.validate is None or [epoch for epoch, _ in s.validation[-1:]] == [s.epoch]:
            return
        self.module.eval()
        metric = self.validate()
        s.validation.append((s.epoch, metric))
        if metric > s.best_metric:
            s.best_metric, s.best_epoch, s.since_best = metric, s.epoch, 0
            self.best = self._weights()
        else:
            s.since_best += 1

    def _weights(self) -> dict[str, torch.Tensor]:
        return {k: v.detach().clone() for k, v in self.module.state_dict().items()}

    def _log(self) -> dict[str, Any]:
        s = self.state
        return {
            "epochs": s.epoch,
            "best_epoch": s.best_epoch if self.validate else s.epoch,
            "best_validation": s.best_metric if self.validate else None,
            "loss_curve": s.losses,
            "validation_curve": [list(point) for point in s.validation],
            "training_seconds": s.seconds,
        }

    def _checkpoint(self) -> None:
        if self.file is None:
            return
        tensors = {f"module.{k}": v for k, v in self.module.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        moments = self.optimiser.state_dict()["state"]
        tensors |= {f"optimiser.{i}.{k}": v for i, m in moments.items() for k, v in m.items()}
        tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
        with atomic(self.file) as temporary:
            words = {"state": json.dumps(vars(self.state)), "notes": json.dumps(self.notes)}
            words["made_from"] = json.dumps(self.made_from)
            save_file(tensors, temporary, words)

    def _resume(self) -> None:
        """Load the checkpoint, if there is one that can be read."""
        if self.file is None or not self.file.is_file():
            return
        fresh = self._weights()
        try:
            with safe_open(self.file, "pt") as stream:  # `load_state_dict` brings all to the device
                words = stream.metadata()
                if other := self._differs(json.loads(words.get("made_from", "{}"))):
                    print(f"{self.file}: made from other {other}; the fit starts afresh", file=sys.stderr)
                    self.file.unlink()
                    return
                meta, notes = json.loads(words["state"]), json.loads(words.get("notes", "{}"))
                if meta["epoch"] > (self.caps.epochs or math.inf):
                    return  # of a run under a higher cap: this one would depend on it
                tensors = {k: stream.get_tensor(k) for k in stream.keys()}  # noqa: SIM118
            self._restore(meta, tensors)
            self.notes.update(notes)
        except (SafetensorError, AttributeError, KeyError, TypeError, ValueError, RuntimeError):
            self.file.unlink()  # from an interrupted disk or other code: start afresh
            self.module.load_state_dict(fresh)

    def _differs(self, made_from: dict[str, Any]) -> str:
        """Return in what a checkpoint differs from this run, for instance "code, data"; or ""."""
        names = sorted({*made_from, *self.made_from})
        return ", ".join(n for n in names if made_from.get(n) != self.made_from.get(n))

    def _restore(self, meta: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        meta["validation"] = [tuple(point) for point in meta["validation"]]
        state, best = LoopState(**meta), _below(tensors, "best.")
        self.module.load_state_dict(best)  # fails here if it does not fit
        self.module.load_state_dict(_below(tensors, "module."))
        packed = self.optimiser.state_dict()
        packed["state"] = _nested(_below(tensors, "optimiser."))
        self.optimiser.load_state_dict(packed)
        self.state, self.best = state, best


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _nested(flat: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    nested: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in flat.items():
        index, _, moment = name.partition(".")
        nested.setdefault(int(index), {})[moment] = tensor.cpu() if moment == "step" else tensor
    return nested
