"""The tool of `make mutate`: what it changes, what it leaves alone, and that its lists are true."""

from __future__ import annotations

import ast
import itertools
import subprocess
import sys
from pathlib import Path

import mutate
import pytest

ROOT = Path(__file__).resolve().parents[2]


def changes(source: str) -> set[str]:
    """Return the sources of all mutants but for their layout."""
    return {text.strip() for _, _, text in mutate.mutants(source)}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"a <= b", "a > b"}),
        ("a is not b", {"a is b"}),
        ("a + b", {"a - b"}),
        ("not a", {"a"}),
        ("a[::-1]", {"a[::1]", "a[::-2]", "a[::-0]"}),
        ("a[b:]", {"a[:]"}),
        ("a and b", {"a or b"}),
        ("x = True", {"x = False"}),
        ("x = 0.5", {"x = 1.5", "x = -0.5"}),
        ("a[b] = c", {"pass"}),
        ("a += b", {"a -= b", "pass"}),
        ("x = f(a, b, kind=c)", {"x = f(b, a, kind=c)", "x = f(a, b)"}),
        ("x = np.minimum(a, b)", {"x = np.maximum(a, b)"}),
        ("x = a if b else c", {"x = a if not b else c"}),
        ("def f():\n    return a", {"def f():\n    return None"}),
    ],
)
def test_a_place_is_changed_in_every_way(source: str, expected: set[str]) -> None:
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""Of 1 < 2."""',
        "def f(a: g(1, 2)) -> h(3):\n    pass",
        "raise Wrong(1 + 2)",
        "x = f'{a + b}'",
        "ROWS_AT_ONCE = 256",
        "x = f(a, dtype=b, strict=c)",
        "return None",
    ],
)
def test_text_types_errors_and_speed_are_left_alone(source: str) -> None:
    assert changes(source) == set()


@pytest.mark.parametrize("module", mutate.MODULES)
def test_the_modules_and_their_tests_are_there_and_every_mutant_differs(module: str) -> None:
    source = (ROOT / "workflow" / "recspectra" / f"{module}.py").read_text(encoding="utf-8")
    whole = ast.unparse(ast.parse(source))
    some = list(itertools.islice(mutate.mutants(source), 30))
    assert len(some) == len({text for *_, text in some}) == 30
    for line, what, text in some:
        assert 0 < line <= len(source.splitlines()) and "  ->  " in what
        assert text != whole
        ast.parse(text)
    assert all((ROOT / path).is_file() for path in mutate.tests_of(module))


def test_only_tests_that_end_in_time_and_pass_let_a_mutant_pass(tmp_path: Path) -> None:
    """In a checkout of one function and three tests of it, in a process that has not loaded ours."""
    package = tmp_path / "workflow" / "recspectra"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("def one():\n    return 1\n", encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nmarkers = ["slow"]\n')
    test = "import recspectra\n\ndef test_one():\n    assert recspectra.one() == {}\n"
    for name, value in (("good", "1"), ("bad", "2"), ("endless", "next(i for i in iter(int, 1) if i)")):
        (tmp_path / f"test_{name}.py").write_text(test.format(value), encoding="utf-8")
    code = "import pathlib, sys, mutate; place = pathlib.Path(sys.argv[1]).resolve(); "
    code += "limits = {'good': 100, 'bad': 100, 'endless': 3}; "
    code += "print([mutate.passes(place, [f'test_{n}.py'], limit)[0] for n, limit in limits.items()])"
    variables = {"PYTHONPATH": str(ROOT / "tests"), "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.stdout == "[True, False, False]\n", done.stdout + done.stderr
