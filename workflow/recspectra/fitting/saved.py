"""A fitted model in one file: what it is, its state, the ids and the histories that it knows.

The file is a zip of `model.json` and NumPy arrays: nothing in it is unpickled, and every part has a CRC.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from recspectra.code_hashes import code_hash
from recspectra.config.base import ConfigError
from recspectra.config.model import ModelConfig
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.files import (
    PACKAGE,
    ArtifactError,
    atomic,
    check_rows,
    check_size,
    open_regular,
    provenance,
    read_member,
)
from recspectra.fitting.scoring import top_scored
from recspectra.recommender import Recommender, create

if TYPE_CHECKING:  # schemas of studies, and pandas: a fit needs neither
    from recspectra.config.catalog import Catalog
    from recspectra.data.ids import Ids

FORMAT, VERSION = "recspectra-model", 1
ABOUT = "model.json"
WORDS = {str: "text", dict: "mapping", int: "whole number"}
KEYS = dict.fromkeys(("model", "title", "fit", "data", "dataset"), str)
KEYS |= {"params": dict, "log": dict, "seed": int}
FIRST_DAY = (1980, 1, 1, 0, 0, 0)  # of zip: equal models give equal bytes


@dataclass(frozen=True)
class SavedModel:
    """A fitted model and what is needed to use it.

    Attributes
    ----------
    about : dict
        What JSON can hold: `model`, `class_name`, `title`, `params`, `seed`, `fit` (the part it was fitted
        on), `dataset`, `ordered`, `data` (digest of train and valid), `log`.
    system : Recommender
        The model.
    history : Interactions
        What is known of the users it was fitted on.
    ids : Ids
        The ids of users and items.
    """

    about: Mapping[str, Any]
    system: Recommender
    history: Interactions
    ids: Ids


@cache
def scoring_code(model: str) -> str:
    """Return the hash of the code that a model's scores come from."""
    return code_hash(f"{PACKAGE}.models.{model}")


def save_model(path: Path | str, saved: SavedModel) -> None:
    """Write a model to one file, atomically.

    Raises
    ------
    ArtifactError
        The disk is full, the folder is read-only, or another write error.
    """
    own = {"format": FORMAT, "version": VERSION, "code": scoring_code(saved.about["model"])}
    about = {**saved.about, **own, "provenance": provenance()}
    history = {"indptr": saved.history.indptr, "items": saved.history.items}
    if saved.history.times is not None:
        history["times"] = saved.history.times
    arrays = {f"state/{name}": array for name, array in saved.system.state().items()}
    arrays |= {f"history/{name}": array for name, array in history.items()}
    arrays |= {"ids/users": saved.ids.users, "ids/items": saved.ids.items}
    text = json.dumps(about, indent=1, sort_keys=True, allow_nan=False)
    with atomic(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        archive.writestr(zipfile.ZipInfo(ABOUT, FIRST_DAY), text)
        for name, array in sorted(arrays.items()):
            with archive.open(zipfile.ZipInfo(f"{name}.npy", FIRST_DAY), "w", force_zip64=True) as stream:
                np.lib.format.write_array(stream, np.asarray(array), allow_pickle=False)


def load_model(path: Path | str, catalog: Catalog, any_code: bool = False) -> SavedModel:
    """Read what `save_model` wrote, onto the CPU.

    Parameters
    ----------
    path : Path
        The file.
    catalog : Catalog
        Where the model's YAML is.
    any_code : bool
        Whether to accept a model that other code wrote: its scores may differ from those it had.

    Raises
    ------
    ArtifactError
        The file is missing, damaged, no saved model, or of another format or other code.
    """
    from recspectra.data.ids import Ids

    about, arrays = _read(path)
    _check_version(path, about)
    config = _config(path, about, catalog)
    if not any_code and about.get("code") != scoring_code(config.name):
        raise ArtifactError(
            f"{path}: {about['title']} was saved by other code (RecSpectra {_version_of(about)}) than runs "
            "now, so its scores may differ; fit it again, or accept that with any_code=True (--any-code)"
        )
    try:
        system = create(config, config.resolve(about["params"]))
        system.load_state(_below(arrays, "state/"))
        parts = _below(arrays, "history/")
        ids = Ids(arrays["ids/users"], arrays["ids/items"])
        _check_arrays(ids, parts)
        history = Interactions(parts["indptr"], parts["items"], parts.get("times"), len(ids.items))
        _check_score(system, history)
    except Exception as error:  # a model's own code finds what is missing in as many ways as there are models
        raise ArtifactError(
            f"{path}: its state does not fit {about['title']} as it is here ({_words(error)}); fit it again"
        ) from None
    return SavedModel(about, system, history, ids)


def _check_arrays(ids: Ids, history: Mapping[str, np.ndarray]) -> None:
    """Refuse ids and histories that do not belong together."""
    for role, known in (("users", ids.users), ("items", ids.items)):
        if known.ndim != 1 or known.dtype.kind not in "iU" or len(np.unique(known)) < len(known):
            raise ValueError(f"its ids of {role} are no list of different ids")
    check_rows(history)
    items, times = history["items"], history.get("times")
    inside = not len(items) or (items.min() >= 0 and items.max() < len(ids.items))
    rows = len(history["indptr"]) - 1 == len(ids.users) and (times is None or times.shape == items.shape)
    if not (inside and rows):
        raise ValueError("its histories are not those of its users and items")


def _check_score(system: Recommender, history: Interactions) -> None:
    """Let the model score its last user: arrays of another shape, or NaN, end here."""
    last = np.array([history.n_users - 1])
    own = from_pairs(
        np.zeros(history.lengths[-1], dtype=np.int64), history.sequence(last[0]), None, (1, history.n_items)
    )
    top_scored(system.score, own, last, 1, without_history=False)


def read_about(path: Path | str) -> dict[str, Any]:
    """Return what a saved model says of itself."""
    about, _ = _read(path, arrays=False)
    _check_version(path, about)
    return about


def _read(path: Path | str, arrays: bool = True) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return `model.json` and the arrays of a file."""
    try:
        with open_regular(path) as file, zipfile.ZipFile(file) as archive:
            check_size(archive)
            if ABOUT not in archive.namelist():
                raise ArtifactError(f"{path}: is no model that RecSpectra saved (it has no {ABOUT})")
            about = json.loads(archive.read(ABOUT))
            names = [name for name in archive.namelist() if name != ABOUT] if arrays else []
            return about, {name.removesuffix(".npy"): read_member(archive, name) for name in names}
    except ArtifactError:
        raise
    except FileNotFoundError:
        raise ArtifactError(f"{path}: file not found") from None
    except MemoryError:
        raise
    except Exception as error:  # zipfile, zlib, tokenize and NumPy raise a dozen kinds
        raise ArtifactError(
            f"{path}: is no model that RecSpectra saved, or is truncated or damaged ({_words(error)})"
        ) from None


def _config(path: Path | str, about: Mapping[str, Any], catalog: Catalog) -> ModelConfig:
    try:
        return catalog.model(about["model"])
    except (ConfigError, TypeError) as error:
        raise ArtifactError(f"{path}: holds a model that is not here ({_words(error)})") from None


def _check_version(path: Path | str, about: Any) -> None:
    """Refuse a file of another kind or of another format."""
    if not (isinstance(about, dict) and about.get("format") == FORMAT):
        raise ArtifactError(f"{path}: is no model that RecSpectra saved")
    if about.get("version") != VERSION or type(about["version"]) is not int:
        raise ArtifactError(
            f"{path}: is of format {about.get('version')} (RecSpectra {_version_of(about)}), this version "
            f"reads format {VERSION}; load it with the version that saved it, or fit it again"
        )
    for key, kind in KEYS.items():
        if key not in about:
            raise ArtifactError(f"{path}: {ABOUT} lacks '{key}': the file is damaged")
        if type(about[key]) is not kind:
            raise ArtifactError(f"{path}: {ABOUT}: '{key}' is no {WORDS[kind]}: the file is damaged")


def _version_of(about: Mapping[str, Any]) -> str:
    found = about.get("provenance")
    return str(found.get("recspectra", "?")) if isinstance(found, dict) else "?"


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _words(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
