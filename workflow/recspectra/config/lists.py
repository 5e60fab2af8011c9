"""Lists from elsewhere as an entry of a study: its schema, its files, what stands for a model."""

from __future__ import annotations

import contextlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from recspectra.config.base import BY_NAME, ONE_LIST, ONE_TEXT, Part, Scalar, Seed, Strict, check_known
from recspectra.config.model import LISTS, ModelConfig, Paper
from recspectra.identity import hash_of

ROLES = ("user", "item", "score", "rank")
NAME = r"[a-z][a-z0-9_]{0,63}"
SEED, DATASET = "{seed}", "{dataset}"

Files = Annotated[
    Annotated[str, Tag(ONE_TEXT)] | Annotated[dict[str, str], Field(min_length=1), Tag(BY_NAME)],
    Discriminator(lambda value: BY_NAME if isinstance(value, dict) else ONE_TEXT),
]
Histories = Annotated[
    Annotated[Part, Tag(ONE_TEXT)] | Annotated[list[Part], Field(min_length=1), Tag(ONE_LIST)],
    Discriminator(lambda value: ONE_LIST if isinstance(value, list) else ONE_TEXT),
]


class ListsEntry(Strict):
    """Lists that another program made; in tables, figures and claims they stand like a model.

    `lists` is a file, or one for each dataset; `{dataset}` and `{seed}` in its path stand for a name and a
    number. A file without `{seed}` holds the lists of one seed.
    """

    lists: Files
    title: str
    name: str = ""
    seconds: float | None = Field(None, ge=0)
    history: Histories = "train+valid"
    columns: dict[str, str] = {}
    variant: str = "default"
    fit: Part = "train"
    group: str = "main"
    seeds: list[Seed] | None = None
    datasets: list[str] | None = None

    @model_validator(mode="before")
    @classmethod
    def _fill_name_and_datasets(cls, data: Any) -> Any:
        """Fill what follows from the rest: the name from the title, datasets from files by dataset."""
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        if isinstance(data.get("title"), str):
            filled.setdefault("name", name_from(data["title"]))
        if isinstance(data.get("lists"), dict):
            filled.setdefault("datasets", list(data["lists"]))
        return filled

    @field_validator("name")
    @classmethod
    def _name_is_one_of_a_model(cls, name: str) -> str:
        if not re.fullmatch(NAME, name):
            raise ValueError(
                "a name in small letters, digits and _ is needed, such as `name: recbole_sasrec`"
            )
        return name

    @field_validator("columns")
    @classmethod
    def _columns_have_roles(cls, columns: dict[str, str]) -> dict[str, str]:
        check_known(columns, ROLES, "unknown '{name}'; allowed: {known}", ValueError)
        return columns

    @model_validator(mode="after")
    def _paths_can_be_filled(self) -> ListsEntry:
        for path in self.paths:
            if re.search(r"[{}]", path.replace(SEED, "").replace(DATASET, "")):
                raise ValueError(f"lists: '{path}': only {DATASET} and {SEED} may stand in braces")
        if self.fit == "train+valid" and "train" in self.histories:
            raise ValueError("history train with fit train+valid: the model has seen the validation items")
        return self

    @model_validator(mode="after")
    def _files_fit_datasets_and_seeds(self) -> ListsEntry:
        if isinstance(self.lists, dict):
            for name in self.datasets or []:
                if name not in self.lists:
                    raise ValueError(f"datasets: `lists` has no file for '{name}'")
        if self.seeds and len(self.seeds) > 1 and not self.by_seed:
            raise ValueError(
                f"seeds: a file without {SEED} in its path holds the lists of one seed, not of "
                f"{len(self.seeds)}"
            )
        return self

    @property
    def paths(self) -> list[str]:
        """The paths as they are written."""
        return list(self.lists.values()) if isinstance(self.lists, dict) else [self.lists]

    @property
    def by_seed(self) -> bool:
        """Whether there is a file for each seed."""
        return any(SEED in path for path in self.paths)

    @property
    def histories(self) -> list[Part]:
        """What the model was shown when it made the lists."""
        return [self.history] if isinstance(self.history, str) else self.history

    @property
    def models(self) -> list[str]:
        """The one name under which the lists stand."""
        return [self.name]

    @property
    def model(self) -> str:
        """The same."""
        return self.name

    # What the entry of a model has and lists have not.
    tune = property(lambda self: False)
    params = property(lambda self: {})

    def path(self, dataset: str, seed: int) -> str:
        """Return the path of one file, as it is written."""
        written = self.lists[dataset] if isinstance(self.lists, dict) else self.lists
        return written.replace(DATASET, dataset).replace(SEED, str(seed))

    def settings(self, files: list[str]) -> dict[str, Scalar]:
        """Return what makes the lists of a dataset what they are; `files` has the digests of all seeds."""
        columns = {f"column_{role}": name for role, name in sorted(self.columns.items())}
        seconds = {} if self.seconds is None else {"seconds": float(self.seconds)}
        history = ",".join(sorted(self.histories))
        return {"lists": hash_of(files)[:12], "history": history, **seconds, **columns}

    @property
    def as_model(self) -> ModelConfig:
        """What stands for the model in tables and figures."""
        about = Paper(title=self.title, venue="made elsewhere", citation="-")
        return ModelConfig(name=self.name, class_name=LISTS, title=self.title, paper=about, kind=LISTS)


@dataclass(frozen=True)
class ListFile:
    """A file of lists that a study names.

    Attributes
    ----------
    dataset, model, key, seed
        The run that it becomes.
    path : str
        Where it is, absolute; where it should be, if it is not there.
    places : tuple of str
        Where it was looked for.
    digest : str
        Size and sha256 of its content; `missing` where there is none.
    where : str
        The study and the entry, for messages.
    """

    dataset: str
    model: str
    key: str
    seed: int
    path: str
    places: tuple[str, ...]
    digest: str
    where: str

    @property
    def problem(self) -> str:
        """What is wrong where it is not there, in words; else nothing."""
        if self.digest != "missing":
            return ""
        return (
            f"{self.where}.lists: there is no file {' and no file '.join(self.places)} (a relative path is "
            "looked for in the study's folder, then in the working folder)"
        )


def name_from(title: str) -> str:
    """Return the name that a title gives: "RecBole SASRec" is `recbole_sasrec`."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:64]
    return f"lists_{name}"[:64] if name[:1].isdigit() else name


def found_at(places: tuple[str, ...]) -> str:
    """Return the first place where a file is, or the first of all."""
    with contextlib.suppress(OSError):
        return next((place for place in places if Path(place).is_file()), places[0])
    return places[0]
