"""The pages of docs/ for users of the library: their code runs, their links lead somewhere."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import yaml

import recspectra as rs
from recspectra.config.model import ModelConfig
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import Interactions
from recspectra.evaluation.hits import compare
from recspectra.fitting.fit import learn
from recspectra.fitting.scoring import Inputs
from recspectra.recommender import History, Recommender, Run, create

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGES = ("library.md", "own-data.md", "adding-a-model.md", "metrics.md")


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


@pytest.mark.parametrize("page", PAGES)
def test_links_of_the_pages_lead_somewhere(page: str) -> None:
    text = (DOCS / page).read_text(encoding="utf-8")
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        assert (DOCS / target).is_file(), target
    for path in re.findall(r"`((?:workflow|config|tests|rules)/[\w/.-]+\.(?:py|yaml|smk))`", text):
        assert "NAME" in path or (DOCS.parent / path).is_file(), path


@pytest.mark.parametrize("name", ["mine", "mine_trained"])
def test_the_models_of_the_page_keep_the_contract(
    name: str, tiny: dict[str, Interactions], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page's own code, as files of their names would be, without writing them into the checkout."""
    codes = [code for code in blocks("adding-a-model.md", "python") if f"models/{name}.py" in code]
    texts = [text for text in blocks("adding-a-model.md", "yaml") if f"models/{name}.yaml" in text]
    assert len(codes) == len(texts) == 1
    config = validate(ModelConfig, yaml.safe_load(texts[0]), f"{name}.yaml")
    module = types.ModuleType(f"recspectra.models.{name}")
    exec(compile(codes[0], f"{name}.py", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    quick = {"epochs": 40, "learning_rate": 0.01, "batch_size": 20}
    params = config.resolve({k: v for k, v in quick.items() if k in config.params})
    system = create(config, params)
    inputs = Inputs(tiny["train"], tiny["valid"], True, {})
    assert isinstance(learn(system, inputs, "train", Run(seed=0)), dict)
    users = np.arange(120)
    history = History.of(tiny["train"], users)
    scores = system.score(users, history)
    assert scores.dtype == np.float32 and scores.shape == (120, 80)
    again = create(config, params)
    again.load_state(system.state())
    assert np.array_equal(again.score(users, history), scores)
    masked = np.where(tiny["train"].matrix.toarray() > 0, -np.inf, scores)
    top = np.argsort(-masked, axis=1)[:, :20].astype(np.int32)
    hits = compare(top, tiny["test"])
    assert (hits.hits.sum(axis=1) / hits.targets).mean() > 0.5  # popularity finds less than half
    assert issubclass(vars(module)[config.class_name], Recommender)


def test_every_call_of_the_library_s_page_exists() -> None:
    text = (DOCS / "library.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\brs\.(\w+)", text)) <= set(rs.PUBLIC)
    assert set(re.findall(r"\bmodel\.(\w+)\(", text)) <= set(dir(rs.Model))
    assert set(re.findall(r"\bdata\.(\w+)\(", text)) <= set(dir(rs.Data))
    options = set(re.findall(r" (--\w+)", text))
    source = (DOCS.parent / "workflow/recspectra/api/command.py").read_text(encoding="utf-8")
    assert all(f'"{option}"' in source for option in options)
