"""The small study, drawn once."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_study import (
    ROOT,
    write_study,
)

from recspectra.reporting.draw import draw
from recspectra.reporting.published import Published
from recspectra.reporting.site import render


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_study(tmp_path_factory.mktemp("studies") / "fixture")
    draw(folder, ROOT)
    return folder


@pytest.fixture(scope="session")
def html(drawn: Path) -> str:
    return "\n".join(render([drawn], ROOT).values())


@pytest.fixture(scope="session")
def published() -> Published:
    return Published(ROOT)
