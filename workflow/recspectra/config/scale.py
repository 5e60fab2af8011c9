"""How much is spent: `config/scales/*.yaml`, the caps of a fit, and what a user chooses on the command line.

A study says what is run, a scale caps what is spent on it, the same way for every study. Caps on epochs and
minutes are no part of a run's key: a run that a cap ended continues from its checkpoint under a higher cap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from recspectra.config.base import Strict
from recspectra.config.model import ModelConfig, RunConfig, TuneConfig, most_epochs

CAPPED = "capped"  # status of a run that a cap ended
CAPPED_MARK = "\u00b6"  # of numbers, lines and bars of such a run
USABLE = ("ok", CAPPED)  # statuses of runs that have lists
UNCAPPED = "none"


class EpochCaps(Strict):
    """Most epochs of a fit, by the cost class (`cost`) of a trained model."""

    light: int | None = Field(None, ge=1)
    medium: int | None = Field(None, ge=1)
    heavy: int | None = Field(None, ge=1)


class ScaleConfig(Strict):
    """What a scale caps: `config/scales/<name>.yaml` or any file. What is left out has no cap.

    Attributes
    ----------
    trials : int, optional
        Most tuning trials of a search.
    seeds : int, optional
        How many of a study's seeds run, from the first on.
    epochs : EpochCaps
        Most epochs of a trained model, in a fit and in each trial.
    minutes : float, optional
        Most minutes that a trained model learns, in a fit and in each trial.
    """

    trials: int | None = Field(None, ge=1, le=10_000)
    seeds: int | None = Field(None, ge=1)
    epochs: EpochCaps = EpochCaps()
    minutes: float | None = Field(None, gt=0)


class Scale(ScaleConfig):
    """A scale with its name and the single values that a user set; without a name nothing is capped."""

    name: str = ""

    def with_values(self, choice: Choice) -> Scale:
        """Return the scale with the single values of a choice in place of its own."""
        given = choice.model_dump(include={"trials", "seeds", "minutes"}, exclude_none=True)
        if choice.epochs is not None:
            given["epochs"] = EpochCaps(light=choice.epochs, medium=choice.epochs, heavy=choice.epochs)
        return self.model_copy(update=given)

    def count_trials(self, most: int) -> int:
        """Return how many of at most `most` trials are made."""
        return min(most, self.trials or most)

    def caps_of(self, model: ModelConfig, job: RunConfig | TuneConfig) -> Caps:
        """Return the caps of a fit or of the trials of a search; a cap on epochs only where it binds."""
        if model.kind != "trained":
            return NO_CAPS
        epochs, most = getattr(self.epochs, model.cost), most_epochs(model, job)
        binds = epochs is not None and (most is None or most > epochs)
        return Caps(epochs=epochs if binds else None, minutes=self.minutes)


class Caps(Strict):
    """What ends a fit before its time: most epochs, most minutes of learning."""

    epochs: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)

    @property
    def text(self) -> str:
        """The caps as one word, `epochs=40,minutes=10`, or `none`."""
        given = self.model_dump(exclude_none=True).items()
        return ",".join(f"{name}={value:.15g}" for name, value in given) or UNCAPPED

    @classmethod
    def read(cls, text: str) -> Caps:
        """Return the caps that `text` says.

        Raises
        ------
        ValueError
            It says something else.
        """
        pairs = [] if text == UNCAPPED else [part.partition("=") for part in text.split(",")]
        return cls(**{name: int(v) if name == "epochs" else float(v) for name, _, v in pairs})


NO_CAPS = Caps()


def caps_text(record: Mapping[str, Any], now: Caps) -> str:
    """Return the text by which Snakemake sees whether a fit or search is made again for its caps.

    It stays what it was when the results were made, unless the cap that ended them is higher now.

    Parameters
    ----------
    record : mapping
        `run.json` or `best.json`: `capped` (the cap that ended it, or ""), `caps` (those in force) and
        `caps_text` (what this function returned for it). Empty where there is none.
    now : Caps
        The caps in force now.
    """
    before, then, ended_by = record.get("caps_text"), _read(record.get("caps")), record.get("capped") or ""
    told = isinstance(before, str) and _read(before.rstrip("+"))
    if not told or ended_by not in ("", *Caps.model_fields) or (ended_by and not then):
        return now.text  # no record, or not one that a run of ours wrote
    if not ended_by or not _is_higher(getattr(now, ended_by), getattr(then, ended_by)):
        return before
    return now.text if now.text != before else f"{before}+"  # made with less, for another reason


def _read(text: Any) -> Caps | None:
    """Return the caps that a record says, word for word; None if it says anything else."""
    try:
        found = Caps.read(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found and found.text == text else None


def _is_higher(now: float | None, before: float | None) -> bool:
    return before is not None and (now is None or now > before)


class Choice(Strict):
    """What a user chooses of how much is spent, and on what.

    Attributes
    ----------
    scale : str
        A name of `config/scales` or the path of a file.
    trials, seeds, epochs, minutes : optional
        In place of the scale's own; `epochs` for every cost class.
    datasets, models, groups : list of str, optional
        The only ones of a study that run; a study with none of them runs all.
    """

    scale: str = "laptop"
    trials: int | None = Field(None, ge=1, le=10_000)
    seeds: int | None = Field(None, ge=1)
    epochs: int | None = Field(None, ge=1)
    minutes: float | None = Field(None, gt=0)
    datasets: list[str] | None = None
    models: list[str] | None = None
    groups: list[str] | None = None

    @field_validator("datasets", "models", "groups", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        """Read `--config datasets=a,b`, which arrives as text, unless it looks like a number."""
        if isinstance(value, bool | int | float):
            raise ValueError(f"a name was read as {value!r}; write it in brackets, `[NAME]`")
        if not isinstance(value, str):
            return value
        names = [name.strip() for name in value.split(",")]
        if "" in names:
            raise ValueError(f"{value!r} has a comma with no name beside it; take it out")
        return names

    @property
    def chosen(self) -> Choice:
        """The choice alone, of settings that have more."""
        return Choice(**{name: getattr(self, name) for name in Choice.model_fields})

    @property
    def words(self) -> dict[str, str]:
        """Words for `--config`; in brackets Snakemake reads `007` as a text."""
        given = self.chosen.model_dump(exclude_none=True).items()
        return {k: f"[{','.join(v)}]" if isinstance(v, list) else f"{v}" for k, v in given}


NUMBERS = ("trials", "seeds", "epochs", "minutes")
