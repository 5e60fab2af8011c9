"""Break the modules that numbers come from in small ways, and list what no test notices.

Each mutant changes one place of one module. The quick tests of the module run on it, in a copy of
the checkout, in a process that is forked with the libraries loaded. A mutant that passes them is
either equivalent to the code or shows a test that is missing.
"""

from __future__ import annotations

import os

# Read once, when NumPy and PyTorch are loaded.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import argparse
import ast
import copy
import importlib
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MEMORY = 16 << 30  # bytes of address space of a mutant's tests
LIBRARIES = "numpy scipy.sparse scipy.stats pandas pyarrow.parquet torch pydantic yaml hypothesis pytrec_eval"
# Without what makes failures readable: a mutant's are not read.
OPTIONS = ["-x", "-q", "--tb=no", "--assert=plain", "-p", "no:cacheprovider", "-p", "no:unraisableexception",
           "-m", "not slow"]  # fmt: skip
# The modules, and the quick tests of each, those that are soonest done first.
MODULES = {
    "evaluation/metrics": "ties metrics beyond_accuracy",
    "fitting/ranking": "ties fast_ranking",
    "evaluation/hits": "hits ties",
    "training/losses": "losses",
    "data/splits": "split_recipes folds_and_cuts",
    "data/filters": "filters",
    "evaluation/simultaneous": "simultaneous columns",
}
# What these names hold changes speed and memory, and no number.
SPEED = {
    "ROWS_AT_ONCE", "SCORES_AT_ONCE", "FIRST_COLUMNS", "FEW", "AT_ONCE", "USERS_AT_ONCE", "PAIRS_AT_ONCE",
    "SOFTMAX_SCORES", "ROW_SCORES",
}  # fmt: skip

SWAPS: dict[type, list[type]] = {
    ast.Lt: [ast.LtE, ast.Gt], ast.LtE: [ast.Lt, ast.GtE], ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt, ast.LtE], ast.Eq: [ast.NotEq], ast.NotEq: [ast.Eq], ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is], ast.In: [ast.NotIn], ast.NotIn: [ast.In], ast.Add: [ast.Sub], ast.Sub: [ast.Add],
    ast.Mult: [ast.Div], ast.Div: [ast.Mult], ast.FloorDiv: [ast.Mult], ast.Mod: [ast.FloorDiv],
    ast.Pow: [ast.Mult], ast.BitAnd: [ast.BitOr], ast.BitOr: [ast.BitAnd], ast.BitXor: [ast.BitAnd],
    ast.LShift: [ast.RShift], ast.RShift: [ast.LShift], ast.And: [ast.Or], ast.Or: [ast.And],
}  # fmt: skip
PAIRS = ["minimum maximum", "min max", "amin amax", "any all", "mean sum", "zeros ones", "floor ceil"]
RENAMED = dict(pair.split()[:: 1 - 2 * back] for pair in PAIRS for back in (0, 1))
Mutant = tuple[int, str, str]  # line, what was changed, source


def tests_of(module: str) -> list[str]:
    """Return the paths of a module's quick tests."""
    found = {path.stem.removeprefix("test_"): path for path in (ROOT / "tests" / "unit").rglob("test_*.py")}
    return [str(found[name].relative_to(ROOT)) for name in MODULES[module].split()]


def variants(node: ast.AST) -> Iterator[ast.AST | None]:
    """Yield what can stand in the place of a node."""

    def changed(**fields: object) -> ast.AST:
        other = copy.copy(node)
        vars(other).update(fields)
        return other

    match node:
        case ast.Compare(ops=[op]) if type(op) in SWAPS:
            yield from (changed(ops=[new()]) for new in SWAPS[type(op)])
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in SWAPS:
            yield from (changed(op=new()) for new in SWAPS[type(op)])
        case ast.AugAssign(op=op):
            yield from (changed(op=new()) for new in SWAPS.get(type(op), []))
            yield ast.Pass()
        case ast.UnaryOp(operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int() | float() as value):
            yield from (ast.Constant(value + 1), ast.Constant(value - 1))
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.UnaryOp):
            yield changed(test=ast.UnaryOp(ast.Not(), test))
        case ast.Return(value=value) if not isinstance(value, ast.Constant | None):
            yield ast.Return(ast.Constant(None))
        case ast.Assign(targets=[ast.Subscript()]) | ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.Slice(lower=lower, upper=upper) if lower or upper:
            yield ast.Slice(None, None, node.step)
        case ast.Attribute(attr=name) if name in RENAMED:
            yield changed(attr=RENAMED[name])
        case ast.Name(id=name) if name in RENAMED:
            yield changed(id=RENAMED[name])
        case ast.Call(args=args, keywords=keywords):
            if len(args) > 1 and ast.unparse(node.func).split(".")[-1] not in RENAMED:
                yield changed(args=[args[1], args[0], *args[2:]])
            for word in (w for w in keywords if w.arg not in ("dtype", "strict")):
                yield changed(keywords=[other for other in keywords if other is not word])


def left_alone(parent: ast.AST, field: str, node: ast.AST) -> bool:
    """Say whether a part is text, a type or a matter of speed alone."""
    if field in ("annotation", "returns", "decorator_list"):
        return True
    if isinstance(node, ast.Assign) and {ast.unparse(target) for target in node.targets} & SPEED:
        return True
    return isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom)


def mutants(source: str) -> Iterator[Mutant]:
    """Yield all mutants of a module's source."""
    tree = ast.parse(source)
    waiting: list[ast.AST] = [tree]
    while waiting:
        parent = waiting.pop()
        for field, value in ast.iter_fields(parent):
            children = value if isinstance(value, list) else [value]
            for place, node in enumerate(children):
                if not isinstance(node, ast.AST) or left_alone(parent, field, node):
                    continue
                waiting.append(node)
                for other in variants(node):
                    new = [*children[:place], other, *children[place + 1 :]]
                    setattr(parent, field, new if isinstance(value, list) else other)
                    text = ast.unparse(ast.fix_missing_locations(tree))
                    setattr(parent, field, value)
                    line = getattr(node, "lineno", getattr(parent, "lineno", 0))
                    yield line, f"{short(node)}  ->  {short(other)}", text


def short(node: ast.AST) -> str:
    """Return the first line of a node's source, cut."""
    return ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).splitlines()[0][:70]


def passes(checkout: Path, tests: list[str], limit: int) -> tuple[bool, float]:
    """Run tests in a forked process; return whether they pass and the seconds of processor time.

    What takes longer than the limit fails. It is processor time, so that a busy machine kills nothing.
    """
    process = os.fork()
    if not process:
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1), os.dup2(silence, 2)
        os.chdir(checkout)
        sys.path.insert(0, str(checkout / "workflow"))
        os._exit(pytest.main([*OPTIONS, *tests]))
    _, status, used = os.wait4(process, 0)
    return status == 0, used.ru_utime + used.ru_stime


def survivors(checkout: Path, module: str, most: int) -> tuple[int, list[Mutant]]:
    """Return how many mutants of a module were tried, and those that pass its tests."""
    path = checkout / "workflow" / "recspectra" / f"{module}.py"
    source = path.read_text(encoding="utf-8")
    tests = tests_of(module)
    fine, seconds = passes(checkout, tests, 600)
    if not fine:
        sys.exit(f"{module}: the tests fail on the code as it is: {' '.join(tests)}")
    limit = 3 + int(2 * seconds)
    path.write_text("raise RuntimeError", encoding="utf-8")
    if passes(checkout, tests, limit)[0]:
        sys.exit(f"{module}: the tests do not import the copy of it in {checkout}")
    every = list(mutants(source))
    chosen = sorted(random.Random(0).sample(every, min(most, len(every))), key=lambda mutant: mutant[:2])
    left = []
    for mutant in chosen:
        path.write_text(mutant[2], encoding="utf-8")
        left += [mutant] if passes(checkout, tests, limit)[0] else []
    path.write_text(source, encoding="utf-8")
    return len(chosen), left


def main() -> None:
    """Print a row for each module, and below it the mutants that survived."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modules", nargs="*", default=[], help="names such as ranking; all by default")
    parser.add_argument("--most", type=int, default=30, help="mutants of a module, drawn by a fixed seed")
    args = parser.parse_args()
    known = {name.split("/")[1]: name for name in MODULES}
    if unknown := set(args.modules) - set(known):
        sys.exit(f"no such module: {', '.join(sorted(unknown))}; there are: {', '.join(known)}")
    for library in LIBRARIES.split():
        importlib.import_module(library)
    sys.dont_write_bytecode = True  # a file of bytecode could be taken for that of the next mutant
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        for name in ("workflow", "tests", "config"):
            shutil.copytree(ROOT / name, Path(folder, name), ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", folder)
        print(f"{'module':<26}{'mutants':>8}{'killed':>8}{'survived':>10}{'seconds':>9}", flush=True)
        for module in [known[name] for name in args.modules or known]:
            started = time.monotonic()
            tried, left = survivors(Path(folder).resolve(), module, args.most)
            print(f"{module:<26}{tried:>8}{tried - len(left):>8}{len(left):>10}"
                  f"{time.monotonic() - started:>9.0f}", flush=True)  # fmt: skip
            for line, what, _ in left:
                print(f"  line {line}: {what}", flush=True)


if __name__ == "__main__":
    main()
