"""Files as people have them, written and read by the tests of their formats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from recspectra.config.dataset import DatasetConfig
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import DataError
from recspectra.data.readers import read
from recspectra.data.tables import InteractionTable

COLUMNS = {"user": "user_id", "item": "item_id", "time": "timestamp"}
PAIRS = {"user": "user_id", "item": "item_id"}
HEAD = "user_id,item_id,timestamp\n"
DAY = 86400.0
FOUR = "user_id,item_id,timestamp,title\n"


def own(path: Path, columns: dict[str, Any] | None = None, **more: Any) -> DatasetConfig:
    data = {"name": "my-data", "path": str(path), **more}
    return validate(
        DatasetConfig, data | {"columns": COLUMNS if columns is None else columns}, "my-data.yaml"
    )


def text_file(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def table_of(
    folder: Path, name: str, content: str | bytes, columns: dict[str, Any] | None = None, **more: Any
) -> InteractionTable:
    return read(own(text_file(folder, name, content), columns, **more), Path("unused"))


def complaint(folder: Path, name: str, content: str | bytes, *columns: Any, **more: Any) -> str:
    with pytest.raises(DataError) as caught:
        table_of(folder, name, content, *columns, **more)
    assert name in str(caught.value)
    return str(caught.value)
