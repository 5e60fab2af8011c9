"""Floors of the package: what may import what, and where PyTorch is loaded."""

from __future__ import annotations

import ast
import functools
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from recspectra.config.catalog import Catalog

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "workflow" / "recspectra"

FLOORS = {
    "config": 1, "files": 1, "paths": 1, "registry": 1, "identity": 1, "code_hashes": 1, "planning": 1,
    "runtime": 1, "devices": 1, "running": 1, "data": 2, "spectral": 2, "recommender": 3, "training": 3,
    "layers": 3, "models": 3, "fitting": 4, "evaluation": 5, "reporting": 6, "api": 6, "papers": 7,
    "__main__": 7,
}  # fmt: skip
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    """The first part of a module's name below the package."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


@functools.cache
def parsed(path: Path) -> ast.Module:
    """A module as Python reads it."""
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def imported(path: Path) -> tuple[str, ...]:
    """What a module imports, wherever in it."""
    return tuple(imports(parsed(path)))


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are written in full"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_only_go_down(path: Path) -> None:
    names = [n.split(".") for n in imported(path)]
    below = {n[1] for n in names if n[0] == "recspectra" and len(n) > 1 and n[1] in FLOORS}
    assert all(FLOORS[name] <= FLOORS[room(path)] for name in below)


def test_every_module_has_a_floor() -> None:
    assert {room(p) for p in MODULES} == set(FLOORS)


def top_level_torch(path: Path) -> bool:
    """Whether importing a module imports PyTorch by itself."""
    body = parsed(path).body
    statements = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    return any(n.split(".")[0] == "torch" for s in statements for n in imports(s))


ROOMS_OF_MODELS = ("recspectra.models.", "recspectra.layers.")


def models_behind(names: Iterable[str]) -> set[str]:
    """Modules of models/ and layers/ that some models import as they are loaded, at any distance."""
    found, left = set(), {f"recspectra.models.{name}" for name in names}
    while left:
        path = PACKAGE.parent / f"{left.pop().replace('.', '/')}.py"
        if path.is_file() and (name := str(path.relative_to(PACKAGE))) not in found:
            found.add(name)
            body = parsed(path).body
            statements = (s for s in body if isinstance(s, ast.Import | ast.ImportFrom))
            left |= {n for s in statements for n in imports(s) if n.startswith(ROOMS_OF_MODELS)}
    return found


def test_torch_is_imported_by_training_and_trained_models_alone() -> None:
    """Training may, what works on tensors, and of models/ what a trained model and no other loads."""
    catalog, names = Catalog(ROOT), {"trained": set(), "closed-form": set()}
    for name in catalog.names("models"):
        names[catalog.model(name).kind].add(name)
    found = {str(p.relative_to(PACKAGE)) for p in MODULES if top_level_torch(p)}
    assert {"training/loop.py", "layers/trained.py", "spectral/torch_operators.py"} <= found
    of_tensors = {"spectral/torch_operators.py", "fitting/device_ranking.py"}  # loaded where one is given
    elsewhere = {n for n in found if not n.startswith("training/")} - of_tensors
    assert elsewhere <= models_behind(names["trained"]) - models_behind(names["closed-form"])


def test_torch_is_named_elsewhere_only_inside_functions_of_jobs() -> None:
    named = {
        str(p.relative_to(PACKAGE))
        for p in MODULES
        if "torch" in {n.split(".")[0] for n in imported(p)} and not top_level_torch(p)
    }
    assert named == {
        "runtime.py", "api/model.py", "fitting/statuses.py", "spectral/solver_block.py", "models/svdae.py",
        "papers/sdiff.py", "papers/wpgrec.py",
    }  # fmt: skip


def loaded_after(code: str) -> set[str]:
    """Top-level modules in a fresh interpreter after some code."""
    script = f"{code}\nimport sys\nprint(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PACKAGE.parent, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_planning_a_study_with_the_papers_needs_no_numerical_library() -> None:
    code = (
        "import recspectra.planning, pathlib\n"
        "from recspectra import registry; assert registry.figures()\n"
        f"plan = recspectra.planning.load(pathlib.Path({str(ROOT)!r}), {{}}, [])\n"
        "name = plan.default\n"
        "run = plan.studies[name].runs[-1]\n"
        "plan.run_spectra(run.dataset, run.run.model, run.run.key), plan.study_params(name)"
    )
    assert {"numpy", "scipy", "pandas", "torch", "matplotlib", "seaborn"} & loaded_after(code) == set()


def test_evaluating_a_closed_form_model_does_not_load_torch() -> None:
    code = "import recspectra.models.gsprec, recspectra.fitting.fit, recspectra.evaluation.measure"
    loaded = loaded_after(code)
    assert "scipy" in loaded
    assert "torch" not in loaded


PAPERS = {path.stem for path in (PACKAGE / "papers").glob("*.py")} - {"__init__"}
# Names of what one paper measures, as no module below papers/ may write them.
OWN = {"energy", "complexity", "inference", "snr", "frequency-response", "bands", "mode", "gradient_cosine"}


def test_no_module_below_names_a_paper() -> None:
    for path in MODULES:
        if room(path) != "papers":
            names = set(imported(path))
            assert not any(name.startswith("recspectra.papers") for name in names), path


def test_what_one_paper_measures_is_wired_into_no_general_module() -> None:
    """Models keep a log of their own; reporting, planning, evaluation and configuration do not know it."""
    for path in MODULES:
        if room(path) in ("config", "planning", "reporting", "evaluation", "fitting", "registry", "running"):
            tree = parsed(path)
            words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
            assert not {word for word in words if isinstance(word, str)} & OWN, path
