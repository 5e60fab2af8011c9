"""Data for models: read from a file or a frame, or one of the datasets of `config/datasets`."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig
from recspectra.config.raw_files import files_of
from recspectra.config.settings import load_settings
from recspectra.config.yaml_io import validate
from recspectra.data import splits
from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError, Interactions
from recspectra.data.prepare import prepare
from recspectra.data.sources import how_to_get
from recspectra.files import PACKAGE_DIR, open_regular
from recspectra.fitting.scoring import Inputs
from recspectra.planning import mirror_of
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build
from recspectra.spectral.spectrum import Spectrum

FITTED_ON = ("train", "train+valid", "all")


@dataclass(frozen=True, eq=False)
class Data:
    """Interactions in three parts: to learn from (train), to stop by (valid), to measure on (test).

    Attributes
    ----------
    name, title : str
        What messages and tables call it.
    train, valid, test : Interactions
        The parts of the split, by positions.
    ids : Ids
        The file's own ids: `ids.users[u]` is that of position `u`.
    ordered : bool
        Whether the order of a user's interactions means time.
    said : tuple of str
        What was read, dropped and split, in words.
    """

    name: str
    title: str
    train: Interactions
    valid: Interactions
    test: Interactions
    ids: Ids
    ordered: bool
    said: tuple[str, ...] = ()
    _spectra: dict[tuple[str, str, int], Spectrum] = field(default_factory=dict)

    def __repr__(self) -> str:
        parts = ", ".join(f"{getattr(self, part).nnz:,} {part}" for part in ("train", "valid", "test"))
        users, items = self.train.shape
        return f"Data '{self.name}': {users:,} users, {items:,} items; interactions: {parts}"

    @property
    def users(self) -> Any:
        """Ids of all users."""
        return self.ids.users

    @property
    def items(self) -> Any:
        """Ids of all items."""
        return self.ids.items

    @cached_property
    def known(self) -> Interactions:
        """All interactions, those of the test part included."""
        return self.train.merged(self.valid).merged(self.test)

    @cached_property
    def digest(self) -> str:
        """What says that two models were fitted on the same split: the digest of train, valid and order."""
        return Inputs(self.train, self.valid, self.ordered, {}).digest

    def frame(self, part: str = "all") -> pd.DataFrame:
        """Return the interactions of a part (`train`, `valid`, `test` or `all`) with the file's own ids."""
        if part not in ("train", "valid", "test", "all"):
            raise ConfigError(f"part: '{part}' is none of train, valid, test, all")
        found = self.known if part == "all" else getattr(self, part)
        columns = {"user": self.ids.users[found.users], "item": self.ids.items[found.items]}
        return pd.DataFrame(columns if found.times is None else columns | {"time": found.times})

    def inputs(self, on: str, needs: Iterable[tuple[str, int]] = ()) -> tuple[Inputs, str]:
        """Return what a fit on a part is given, and what the fit calls that part.

        A fit on `all` is the refit of a split that trains on everything and holds nothing out.
        """
        first, second = (self.train, self.valid) if on != "all" else (self.known, nothing_of(self.known))
        part = "train" if on == "train" else "train+valid"
        inputs = Inputs(first, second, self.ordered, {})
        fitted = inputs.part(part)
        for operator, rank in needs:
            name = operator.partition("@")[0]
            inputs.spectra[name] = self._spectrum(name, rank, on, fitted)
        return inputs, part

    def _spectrum(self, operator: str, rank: int, on: str, fitted: Interactions) -> Spectrum:
        """Return `rank` leading eigenpairs of an operator, computed once and kept with the data.

        The first pairs of a larger rank will not do. Which pairs of an eigenvalue with several come first
        follows from how many are asked for, so a fit would depend on what was fitted before it.
        """
        key = operator, on, rank
        if key not in self._spectra:
            self._spectra[key] = leading(build(operator, fitted), rank)
        return self._spectra[key]


def read(
    source: str | Path | pd.DataFrame, user: str | int | None = None, item: str | int | None = None,
    rating: str | int | None = None, time: str | int | None = None, *, name: str | None = None,
    separator: str | None = None, header: bool = True, missing: str = "error",
    filter: Mapping[str, Any] | None = None, split: str | Mapping[str, Any] | None = None,
    ordered: bool | None = None,
) -> Data:  # fmt: skip
    """Read one's own interactions and split them.

    All rules of `docs/own-data.md` hold, for a frame too: the same reader reads both.

    Parameters
    ----------
    source : path or pandas.DataFrame
        A CSV, TSV, Parquet or RecBole `.inter` file, or a frame with one row per interaction.
    user, item, rating, time : str or int, optional
        Names of the columns (numbers from 1 with `header=False`); by default `user` and `item`, and no
        rating or time. Whatever a user did is an interaction, of any rating; `filter` drops low ones.
    name : str, optional
        What messages call the data; by default the name of the file.
    separator, header, missing
        As in `docs/own-data.md`.
    filter : mapping, optional
        Such as `{"min_rating": 4, "k_core_users": 5, "k_core_items": 5}`.
    split : str or mapping, optional
        A recipe, or `{"recipe": "random-user", "valid": 0.1, "test": 0.2, "seed": 0}`. By default the newest
        fifth of each user's interactions is tested and the tenth before it validates; without times both
        are drawn (`random-user`, seed 0).
    ordered : bool, optional
        True without times: each user's rows stand in the order of time.

    Returns
    -------
    Data

    Raises
    ------
    ConfigError
        An argument is wrong.
    DataError
        The content is wrong; the message has file, line and column.

    Examples
    --------
    >>> import pandas as pd
    >>> import recspectra as rs
    >>> frame = pd.DataFrame({"who": ["a"] * 10 + ["b"] * 10, "what": [f"i{n}" for n in [*range(10)] * 2]})
    >>> rs.read(frame, user="who", item="what", ordered=True)
    Data 'frame': 2 users, 10 items; interactions: 14 train, 2 valid, 4 test
    """
    columns = {"user": user, "item": item, "rating": rating, "time": time}
    for key, given in (("filter", filter), ("split", split)):
        if not isinstance(given, Mapping | None) and not (key == "split" and isinstance(given, str)):
            raise ConfigError(f"{key}: is a {type(given).__name__}; give a mapping with the keys of a YAML")
    words = {
        "columns": {role: column for role, column in columns.items() if column is not None},
        "separator": separator, "header": header, "missing": missing,
        "filter": None if filter is None else _plain(filter), "ordered": ordered,
        "split": {"recipe": split} if isinstance(split, str) else split and _plain(split),
    }  # fmt: skip
    words = {key: value for key, value in words.items() if value is not None}
    if isinstance(source, pd.DataFrame):
        return _read_frame(source, words, name or "frame")
    path = path_of(source, "source").absolute()
    return _prepared(_config(path, words, name or _safe(path.name.partition(".")[0])))


def _plain(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys with Python's own values in place of NumPy's, as `for seed in np.arange(3)` gives them."""
    return {key: value.item() if isinstance(value, np.generic) else value for key, value in keys.items()}


def _read_frame(frame: pd.DataFrame, words: dict[str, Any], name: str) -> Data:
    """Read a frame as the Parquet file that it would be."""
    wanted = {"user": "user", "item": "item"} | words["columns"]
    for role, column in wanted.items():
        if not isinstance(column, str | int) or not (column in frame.columns or column in frame.index.names):
            raise DataError(
                f"the frame has no column {column!r} for {role}; it has {', '.join(map(str, frame.columns))}"
            )
    kept = list(dict.fromkeys(column for column in wanted.values() if column in frame.columns))
    plain = frame[kept].rename(columns=str)
    plain.attrs = {}  # what somebody noted on a frame may be nothing that a file can hold
    # Parquet knows columns by texts; a frame made of an array calls its own 0, 1, 2.
    words = words | {"columns": {role: str(column) for role, column in words["columns"].items()}}
    with tempfile.TemporaryDirectory(prefix="recspectra-") as folder:
        path = Path(folder) / "frame.parquet"
        try:
            plain.to_parquet(path)
        except (ValueError, TypeError, OverflowError, NotImplementedError) as error:  # Arrow's are of these
            raise DataError(f"the frame holds what is no id, number or time ({error})") from None
        try:
            return _prepared(_config(path, words, name))
        except DataError as error:
            raise DataError(str(error).replace(str(path), "the frame")) from None


def _config(path: Path, words: dict[str, Any], name: str) -> DatasetConfig:
    try:
        open_regular(path).close()
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DataError(f"{path}: cannot be read ({why})") from None
    return validate(DatasetConfig, {"name": name, "path": str(path), **words}, f"read({path.name})")


def path_of(given: Any, key: str) -> Path:
    """Return a path with `~` filled in.

    Raises
    ------
    ConfigError
        It is none.
    """
    if not isinstance(given, str | os.PathLike) or not str(given).strip():
        raise ConfigError(f"{key}: {given!r:.60} is no path")
    return Path(given).expanduser()


def _safe(stem: str) -> str:
    """Return a name that messages and paths may have."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")[:64] or "data"


def dataset(name: str, mirror: str | Path | None = None) -> Data:
    """Return a dataset of `config/datasets`, read, checked and split as its YAML says.

    Parameters
    ----------
    name : str
        Such as `synthetic`, which needs no files, or `ml-100k.higsp`; `docs/datasets.md` lists all.
    mirror : path, optional
        The folder with the datasets' files; by default that of the variable RECSPECTRA_MIRROR, or
        `results/raw`, where the workflow keeps its copies.

    Returns
    -------
    Data

    Raises
    ------
    ConfigError
        There is no such dataset.
    DataError
        Its files are not there, or are not what they should be.

    Examples
    --------
    >>> import recspectra as rs
    >>> rs.dataset("synthetic")
    Data 'synthetic': 1,000 users, 800 items; interactions: 28,818 train, 3,569 valid, 7,613 test
    """
    if not isinstance(name, str):
        raise ConfigError(f"name: {name!r:.60} is no name of a dataset")
    return _prepared(catalog().dataset(name), mirror)


def _prepared(config: DatasetConfig, mirror: str | Path | None = None) -> Data:
    table, said = prepare(config, _folder(config, mirror), files_of(catalog(), config))
    pieces, ids, also = splits.split_with_ids(table, config)
    also += splits.check_counts(config, splits.statistics(config, pieces))
    return Data(config.name, config.title, **pieces, ids=ids, ordered=config.ordered, said=(*said, *also))


def nothing_of(part: Interactions) -> Interactions:
    """Return no interactions of the same users and items, with times where the part has them."""
    times = None if part.times is None else part.times[:0]
    return Interactions(np.zeros_like(part.indptr), part.items[:0], times, part.n_items)


def _folder(config: DatasetConfig, mirror: str | Path | None) -> Path:
    """Return where all files of a dataset lie."""
    raw = Path("results/raw") / config.source.name
    given = mirror or mirror_of(load_settings(catalog().root, {}))
    places = [path_of(given, "mirror")] if given else []
    for place in (*places, raw):
        if all((place / file.path).is_file() for file in config.source.files):
            return place
    missing = next(file for file in config.source.files if not ((places or [raw])[0] / file.path).is_file())
    raise DataError(how_to_get(config, missing, f"{(places or [raw])[0] / missing.path} does not exist"))


def catalog() -> Catalog:
    """Return the configuration files of the checkout that this package belongs to.

    Raises
    ------
    ConfigError
        The package was installed without them.
    """
    root = Path(os.environ.get("RECSPECTRA_ROOT") or PACKAGE_DIR.parents[1])
    if not (root / "config" / "models").is_dir():
        raise ConfigError(
            f"{root}: has no config/models; install the package from its checkout (`pip install -e .`), "
            "or set RECSPECTRA_ROOT to the checkout"
        )
    return Catalog(root)
