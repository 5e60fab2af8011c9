"""RecSpectra: an honest benchmark suite for spectral recommender systems.

>>> import recspectra as rs
>>> data = rs.dataset("synthetic")
>>> model = rs.fit("gfcf", data, rank=64)
>>> model.recommend([17, 99], k=2)[["user", "item", "rank"]]
   user  item  rank
0    17   763     1
1    17     8     2
2    99   381     1
3    99   148     2
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# Name -> the module that has it. Nothing is loaded before it is used: `import recspectra` takes milliseconds.
PUBLIC = {
    "read": "recspectra.api.data",
    "dataset": "recspectra.api.data",
    "Data": "recspectra.api.data",
    "fit": "recspectra.api.model",
    "load": "recspectra.api.model",
    "save": "recspectra.api.model",
    "recommend": "recspectra.api.model",
    "Model": "recspectra.api.model",
    "evaluate": "recspectra.api.measure",
    "compare": "recspectra.api.measure",
    "Lists": "recspectra.evaluation.lists",
    "read_lists": "recspectra.evaluation.read_lists",
    "ConfigError": "recspectra.config.base",
    "DataError": "recspectra.data.interactions",
    "ArtifactError": "recspectra.files",
    "Diverged": "recspectra.recommender",
    "Refused": "recspectra.recommender",
}
__all__ = [
    "ArtifactError", "ConfigError", "Data", "DataError", "Diverged", "Lists", "Model", "Refused", "compare",
    "dataset", "evaluate", "fit", "load", "read", "read_lists", "recommend", "save",
]  # fmt: skip

if TYPE_CHECKING:
    from recspectra.api.data import Data, dataset, read
    from recspectra.api.measure import compare, evaluate
    from recspectra.api.model import Model, fit, load, recommend, save
    from recspectra.config.base import ConfigError
    from recspectra.data.interactions import DataError
    from recspectra.evaluation.lists import Lists
    from recspectra.evaluation.read_lists import read_lists
    from recspectra.files import ArtifactError
    from recspectra.recommender import Diverged, Refused


def __getattr__(name: str) -> Any:
    """Load a public name when it is first used."""
    if name not in PUBLIC:
        raise AttributeError(f"module 'recspectra' has no attribute '{name}'")
    value = getattr(importlib.import_module(PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *PUBLIC})
