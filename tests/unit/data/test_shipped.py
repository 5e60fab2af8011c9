"""Every file that is shipped loads; models and their YAML agree."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

from recspectra.config.catalog import Catalog
from recspectra.config.model import ModelConfig, ParamSpec
from recspectra.config.yaml_io import validate
from recspectra.recommender import ContractError, Recommender, create

CATALOG = Catalog(Path(__file__).resolve().parents[3])
MODELS = CATALOG.names("models")


@pytest.mark.parametrize("name", CATALOG.names("datasets"))
def test_shipped_dataset_loads(name: str) -> None:
    dataset = CATALOG.dataset(name)
    assert dataset.expected is not None or any(p.slip for p in dataset.published)
    assert dataset.source.licence
    assert dataset.source.fetch or not dataset.source.files


@pytest.mark.parametrize("name", CATALOG.names("protocols"))
def test_shipped_protocol_loads(name: str) -> None:
    assert CATALOG.protocol(name).why


@pytest.mark.parametrize("name", CATALOG.names("studies"))
def test_shipped_study_loads(name: str) -> None:
    study = CATALOG.study(name)
    assert study.name == name
    assert study.runs


@pytest.mark.parametrize("name", MODELS)
def test_shipped_model_has_its_module_and_class(name: str) -> None:
    config = CATALOG.model(name)
    system = create(config, config.resolve({}))
    assert isinstance(system, Recommender)
    assert type(system).__module__ == f"recspectra.models.{name}"


@pytest.mark.parametrize("name", MODELS)
def test_best_settings_are_for_datasets_that_exist(name: str) -> None:
    assert set(CATALOG.model(name).best) <= set(CATALOG.names("datasets"))


def used_params(file: str) -> set[str]:
    """Attributes that a file takes from `p` or `self.params`."""
    tree = ast.parse(Path(file).read_text(encoding="utf-8"))
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("p", "self.params")
    }


@pytest.mark.parametrize("name", MODELS)
def test_params_of_the_yaml_are_those_that_the_file_uses(name: str) -> None:
    config = CATALOG.model(name)
    kind = type(create(config, config.resolve({})))
    own = used_params(inspect.getfile(kind))
    bases = [c for c in kind.__mro__ if c.__module__.startswith(("recspectra.models.", "recspectra.layers."))]
    known = set().union(*(used_params(inspect.getfile(c)) for c in bases))
    assert own <= set(config.params) <= known


def test_a_model_without_a_file_or_class_is_named() -> None:
    data = {"name": "nobody", "class_name": "Nobody", "title": "-", "kind": "closed-form"}
    paper = {"title": "-", "venue": "-", "citation": "-"}
    with pytest.raises(ContractError, match=r"no workflow/recspectra/models/nobody\.py"):
        create(validate(ModelConfig, {**data, "paper": paper}, "x"), {})
    with pytest.raises(ContractError, match="recspectra.models.ease has no class 'Nobody'"):
        create(validate(ModelConfig, {**data, "name": "ease", "paper": paper}, "x"), {})


def test_a_choice_must_be_one_of_its_choices() -> None:
    spec = ParamSpec(type="choice", default="a", choices=["a", "b"])
    assert spec.check("b") is None
    assert spec.check("c") == "'c' is not one of ['a', 'b']"
