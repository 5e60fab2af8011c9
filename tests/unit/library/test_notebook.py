"""docs/notebook.ipynb runs from its first to its last cell, and shows what its words promise."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

PATH = Path(__file__).resolve().parents[3] / "docs" / "notebook.ipynb"
pytestmark = pytest.mark.slow


def text_of(cell: nbformat.NotebookNode) -> str:
    """What a cell printed or returned, as text."""
    parts = [out.get("text", "") or out.get("data", {}).get("text/plain", "") for out in cell["outputs"]]
    return "".join(parts)


def test_the_notebook_runs_and_shows_what_it_promises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # where there is a GPU another test may hold it
    book = nbformat.read(PATH, as_version=4)
    nbformat.validate(book)
    assert not any(cell.get("outputs") for cell in book.cells), "outputs are made anew, not kept in Git"
    NotebookClient(book, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    cells = {cell["source"].splitlines()[-1]: cell for cell in book.cells if cell["cell_type"] == "code"}
    texts = {last: text_of(cell) for last, cell in cells.items()}
    assert texts["data"].startswith("Data 'clicks': 1,000 users, 800 items")
    assert all(name in texts['found[["model", "metric", "value", "low", "high"]].round(4)'] for name in (
        "Popularity", "EASE", "GF-CF", "SGFCF", "MF", "low", "high"))  # fmt: skip
    assert "in ndcg@10: " in texts["print(difference)"] and "p = " in texts["print(difference)"]
    shown = next(text for last, text in texts.items() if "titles" in last)
    assert shown.count("film-") == 9 and "title" in shown
    assert texts["again.recommend(users, k=3).equals(three)"] == "True"
    (plot,) = (cell for last, cell in cells.items() if last == "plt.tight_layout()")
    assert any("image/png" in out.get("data", {}) for out in plot["outputs"])
    bar = [out for cell in book.cells for out in cell.get("outputs", []) if out.get("name") == "stderr"]
    assert any("MF on clicks" in out["text"] for out in bar), "the epochs of MF are shown"
