"""A study in a file of its own: what a test changes of a good one is what it is about."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.planned import Study
from recspectra.config.scale import Choice

ROOT = Path(__file__).resolve().parents[2]
GOOD = {"name": "mine", "title": "Mine", "datasets": ["synthetic"], "models": [{"model": "ease"}]}


def load(
    folder: Path, root: Path | Catalog = ROOT, choice: Choice | None = None, present: Collection[str] = (),
    **changes: Any,
) -> Study:  # fmt: skip
    """Write `mine.yaml` and read it; `root` is the project whose configuration it names."""
    path = folder / "mine.yaml"
    path.write_text(json.dumps(GOOD | changes), encoding="utf-8")  # YAML with all texts in quotes
    return (root if isinstance(root, Catalog) else Catalog(root)).study(str(path), present, choice)


def refused(folder: Path, root: Path | Catalog = ROOT, **changes: Any) -> str:
    """Why a study is refused, without the path of its file."""
    with pytest.raises(ConfigError) as caught:
        load(folder, root, **changes)
    path = f"{folder / 'mine.yaml'}: "
    lines = str(caught.value).splitlines()
    assert all(line.startswith(path) for line in lines), lines
    return "\n".join(line.removeprefix(path) for line in lines)
