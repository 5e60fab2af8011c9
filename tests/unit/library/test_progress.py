"""The bar of a fit: on a terminal and in a notebook, nowhere else."""

from __future__ import annotations

import io
import sys
import types

import pytest

import recspectra as rs


@pytest.mark.parametrize(("terminal", "notebook"), [(False, False), (True, False), (False, True)])
def test_a_fit_shows_its_epochs_where_somebody_looks(
    terminal: bool, notebook: bool, data: rs.Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: terminal  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stderr", stream)
    shell = types.SimpleNamespace(kernel=object()) if notebook else None
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    rs.fit("mf", data, epochs=3, eval_every=1, dimensions=4)
    shown = "MF on clicks" in stream.getvalue() and "loss" in stream.getvalue()
    assert shown == (terminal or notebook)
