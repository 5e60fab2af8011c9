"""What a file was made from: keys of configurations, digests of code, of data and of files.

A path holds the key of a configuration. What the configuration does not say (the split, the code, the
eigenpairs) is written into the file as a digest, and whoever reads the file compares it.
NumPy is not loaded here: the Snakefile imports this module.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import functools
import gc
import hashlib
import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from recspectra.config.yaml_io import canonical_json
from recspectra.files import (
    PACKAGE,
    PACKAGE_DIR,
    ArtifactError,
    read_json,
    sha256,
    sha256_of_arrays,
    write_json,
)

if TYPE_CHECKING:
    import numpy as np
    from pydantic import BaseModel

SHORT = 12  # hex digits of a digest in messages and names


# ------------------------------------------------------------------------------- keys


def key_of(config: BaseModel) -> str:
    """Return the first 10 hex digits of the hash of a sorted configuration."""
    return hash_of(config.model_dump())[:10]


def hash_of(value: Any) -> str:
    """Return the sha256 of plain values, in hex digits; the order of keys does not count."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


# ------------------------------------------------------------------------------- data


class Part(Protocol):
    """What a digest is taken of: `data.interactions.Interactions`, which lies a floor above."""

    indptr: np.ndarray
    items: np.ndarray
    times: np.ndarray | None
    preceding: np.ndarray | None

    @property
    def shape(self) -> tuple[int, int]:
        """(n_users, n_items)."""


def data_digest(part: Part) -> str:
    """Return the sha256 of the content of one part: rows, items, order and shape, not of its file."""
    arrays = {"indptr": part.indptr, "items": part.items, "shape": _shape(part)}
    optional = {"times": part.times, "preceding": part.preceding}
    return sha256_of_arrays(arrays | {k: array for k, array in optional.items() if array is not None})


def _shape(part: Part) -> Any:
    import numpy as np

    return np.array(part.shape, dtype=np.int64)


def fit_digest(train: Part, valid: Part, ordered: bool) -> str:
    """Return the digest of what a fit or a search sees of a split."""
    return _seen_by_fit(data_digest(train), data_digest(valid), ordered)


def _seen_by_fit(train: str, valid: str, ordered: bool) -> str:
    return hash_of({"train": train, "valid": valid, "ordered": ordered})


def split_digests(pieces: Mapping[str, Part], ordered: bool) -> dict[str, str]:
    """Return the digest of each part, of what a `fit` sees, and of the whole `split`.

    Parameters
    ----------
    pieces : mapping
        `train`, `valid` and `test`.
    ordered : bool
        Whether the order of a user's interactions means time.
    """
    parts = {name: data_digest(piece) for name, piece in pieces.items()}
    seen = _seen_by_fit(parts["train"], parts["valid"], ordered)
    return parts | {"fit": seen, "split": hash_of(parts | {"ordered": ordered})}


def check_made_from(path: Path | str, found: str | None, expected: str, redo: Path | str) -> None:
    """Refuse a file that was made from other interactions than those that stand beside it now.

    Parameters
    ----------
    path : Path
        The file that holds the digest.
    found, expected : str
        Digest in the file (None or empty in one of an earlier version), and that of the data on disk.
    redo : Path or str
        What `make redo` must be given to make the file again.

    Raises
    ------
    ArtifactError
        They differ, or the file has none.
    """
    if not found or found != expected:
        made = f"from data with digest {found[:SHORT]}" if found else "by a version that kept no digest"
        raise ArtifactError(
            f"{path}: was made {made}; the split on disk has {expected[:SHORT] or 'none'}, so its numbers "
            f"are not of this split; `make redo WHAT={redo}` makes it again"
        )


def check_code(path: Path | str, found: str | None, expected: str, redo: Path | str) -> None:
    """Refuse a file that other code made than what stands in the checkout now.

    As `check_made_from`, with the hash of the code in the file and that of the code now.
    """
    if not found or found != expected:
        raise ArtifactError(
            f"{path}: was made by other code than this checkout's, so its numbers may be others; "
            f"`make redo WHAT={redo}` makes it again"
        )


# ------------------------------------------------------------------------------ files


class FileDigests:
    """sha256 of big files, kept between calls in a small JSON.

    A digest is taken from there while size, times and inode of the file are the same. The time of
    change (ctime) is among them: `cp -p` and `rsync -a` set the time of modification back, not that.

    Parameters
    ----------
    place : Path
        The JSON file; one that is missing or damaged is made again.
    """

    settled = 2.0  # seconds: a file that changed this recently may change again with equal times

    def __init__(self, place: Path | str) -> None:
        self.place = Path(place)

    @functools.cached_property
    def _known(self) -> dict[str, Any]:
        with contextlib.suppress(ArtifactError):
            found = read_json(self.place)
            return found if isinstance(found, dict) else {}
        return {}

    def of(self, path: Path | str) -> str:
        """Return size and sha256 of a file as text; "missing" where there is none that can be read."""
        path = Path(path).resolve()
        try:
            stamp = _stamp(path)
            entry = self._known.get(str(path))
            if isinstance(entry, list) and len(entry) == 2 and entry[0] == stamp:
                return f"{stamp[0]} bytes, sha256 {entry[1]}"
            found = sha256(path)
            settled = time.time() - stamp[2] / 1e9 > self.settled and _stamp(path) == stamp
        except OSError:
            return "missing"
        if settled:
            self._keep(path, [stamp, found])
        return f"{stamp[0]} bytes, sha256 {found}"

    def differ(self, one: Path | str, other: Path | str) -> bool:
        """Return whether two files that are there differ in content; sizes are compared first."""
        one, other = Path(one), Path(other)
        if one.samefile(other):
            return False
        return one.stat().st_size != other.stat().st_size or self.of(one) != self.of(other)

    def _keep(self, path: Path, entry: list[Any]) -> None:
        self._known[str(path)] = entry
        with contextlib.suppress(ArtifactError):  # on a full or read-only disk it is hashed again next time
            write_json(self.place, self._known)


def _stamp(path: Path) -> list[int]:
    """Return size, time of modification, time of change and inode of a file."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


# --------------------------------------------------------------------------- code hash

# These carry configuration, files and words, not numbers; what a job takes from them is in its
# parameters. Counting them would refit everything when a schema gains a key or a message a word.
NEUTRAL = {
    f"{PACKAGE}.{name}"
    for name in (
        "config.catalog",
        "config.base",
        "config.dataset",
        "config.drawings",
        "config.model",
        "config.planned",
        "config.scale",
        "config.settings",
        "config.yaml_io",
        "data.reach_words",
        "files",
        "identity",
        "planning",
        "registry",
        "running.cli",
    )
}


def code_hash(*modules: str, scripts: Iterable[Path | str] = ()) -> str:
    """Hash what some modules do: their syntax trees and those of all they import.

    Comments and docstrings do not count, so editing one reruns nothing; an edit
    of any module of this package that is imported, directly or not, does.

    Parameters
    ----------
    modules : str
        Dotted names inside the package, such as `recspectra.models.gsprec`.
    scripts : paths
        Script files whose own trees and imports count as well.
    """
    found = {str(Path(s).name): _summary(Path(s), "") for s in scripts}
    todo = [*modules, *(name for summary in found.values() for name in summary.imports)]
    while todo:
        name = todo.pop()
        if name in found or name in NEUTRAL or (path := _module_path(name)) is None:
            continue
        found[name] = _summary(path, name)
        todo += found[name].imports
    digest = hashlib.sha256()
    for name in sorted(found):
        digest.update(f"{name}={found[name].tree}\n".encode())
    return digest.hexdigest()[:12]


@functools.cache
def _module_path(name: str) -> Path | None:
    if name.split(".")[0] != PACKAGE:
        return None
    base = PACKAGE_DIR.joinpath(*name.split(".")[1:])
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.is_file() and base != PACKAGE_DIR:
            return candidate
    return None


class _Summary(NamedTuple):
    """What a code hash takes of a file: the hash of its syntax tree, and the package modules it imports."""

    tree: str
    imports: tuple[str, ...]


@functools.cache
def _summary(path: Path, name: str) -> _Summary:
    """Parse a file once; its tree is not kept, for every garbage collection would go through it."""
    with _no_collection():  # nor when it ends: the tree is gone by then
        return _summed_up(path, name if path.name == "__init__.py" else name.rpartition(".")[0])


def _summed_up(path: Path, package: str) -> _Summary:
    tree = _tree(path)
    imports = [name for name in dict.fromkeys(_imported(tree, package)) if _module_path(name)]
    return _Summary(_dumped(tree), tuple(imports))


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pause garbage collection: it takes longer than the parsing, and finds no cycle in a tree."""
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _dumped(tree: ast.AST) -> str:
    """Return the hash of a syntax tree without its docstrings."""
    whole = []
    for node in _blocks(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            whole.append((node, body))
            node.body = body[1:] or [ast.Pass()]
    text = ast.dump(tree)
    for node, body in whole:
        node.body = body
    return hashlib.sha256(text.encode()).hexdigest()


BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")


def _blocks(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield a node and all statements below it; their expressions, nine of ten nodes, are left out."""
    left = [tree]
    while left:
        yield (node := left.pop())
        left += _below(node)


def _below(node: ast.AST) -> list[ast.AST]:
    """Return the statements right below a node, and its handlers or cases, which hold statements."""
    parts = (getattr(node, name, None) for name in BLOCKS)
    return [one for part in parts if isinstance(part, list) for one in part]


def _is_docstring(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _imported(tree: ast.AST, package: str) -> list[str]:
    """Return the package modules that a piece of code imports; `package` is where it stands."""
    found: list[str] = []
    for node in _blocks(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1]
            prefix = ".".join(parents) if node.level else ""
            base = ".".join(filter(None, [prefix, node.module]))
            found += [base, *(f"{base}.{alias.name}" for alias in node.names)]
    return [n for n in found if n.split(".")[0] == PACKAGE]


def function_hash(function: Callable) -> str:
    """Hash what one function does: its syntax, all of its module that it uses, and what these import.

    An edit of anything else in the module changes nothing, other than with `code_hash`.

    Parameters
    ----------
    function : callable
        Defined at the top of a module.
    """
    path, module = Path(inspect.getfile(function)), function.__module__
    used = _used(path, function.__qualname__.partition(".")[0])
    imported = [name for node in used for name in _imported(node, module.rpartition(".")[0])]
    digest = hashlib.sha256("\n".join(map(_dumped, used)).encode())
    digest.update(code_hash(*imported).encode())
    return digest.hexdigest()[:12]


def _used(path: Path, name: str) -> list[ast.AST]:
    """Return the statements of a module that define or change a name and all names that these use.

    They are sorted by name: which of two definitions comes last counts, where a function stands does not.
    Without a definition of the name (a lambda) the whole module counts. What a `*` imports may be any name.
    """
    defined = _definitions(path)
    left, seen = ([name, "*"] if name in defined else list(defined)), set()
    while left:
        name = left.pop()
        if name in defined and name not in seen:
            seen.add(name)
            left += (mentioned := [n for part in defined[name] for n in _mentioned(part)])
            left += list(defined) if ANY_NAME.intersection(mentioned) else []
    return [part for name in sorted(seen) for part in defined[name]]


ANY_NAME = {"eval", "exec", "globals", "locals", "vars"}  # whoever uses one of them may use any name


def _mentioned(node: ast.AST) -> Iterator[str]:
    return (n.id for n in ast.walk(node) if isinstance(n, ast.Name))


@functools.lru_cache(maxsize=4)  # functions of one module are asked for one after the other
def _definitions(path: Path) -> dict[str, list[ast.AST]]:
    """Return the statements of a module outside of functions and classes, by the names that they define.

    With each stand the heads of the `if`, `try`, `with` and the like around it, which decide on it.
    """
    found: dict[str, list[ast.AST]] = {}
    with _no_collection():
        opened = list(_opened(_tree(path).body))
    changed = _changed_inside([node for node, _ in opened if isinstance(node, _Definition)])
    elsewhere = {name for node, _ in opened if isinstance(node, _Import) for name in _names(node)}
    for node, heads in opened:
        effects = {name for f in _called(node) for name in changed.get(f, ())} - elsewhere
        for name in dict.fromkeys([*_names(node), *effects]):
            found.setdefault(name, []).extend([*heads, node])
    return found


def _changed_inside(definitions: list[ast.AST]) -> dict[str, set[str]]:
    """Return the names that each function changes when it is called, by itself or by others that it calls."""
    direct = {node.name: set(_changes(node)) - _local(node) for node in definitions}
    calls = {node.name: direct.keys() & set(_mentioned(node)) for node in definitions}
    for _ in direct:  # a chain of calls is at most as long as there are functions
        grown = {name: direct[name].union(*(direct[f] for f in calls[name])) for name in direct}
        if grown == direct:
            break
        direct = grown
    return direct


def _local(function: ast.AST) -> set[str]:
    """Return the parameters of a function, and the names that it gives a value without `global`."""
    parts = list(ast.walk(function))
    stored = {n.id for n in parts if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    in_globals = {name for n in parts if isinstance(n, ast.Global) for name in n.names}
    return {n.arg for n in parts if isinstance(n, ast.arg)} | (stored - in_globals)


def _called(node: ast.AST) -> list[str]:
    """Return the names that run when a statement of a module is run: decorators, or all in a plain one."""
    if isinstance(node, _Definition):
        return [name for decorator in node.decorator_list for name in _mentioned(decorator)]
    return list(_mentioned(node)) if isinstance(node, ast.Expr) else []


_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Import = ast.Import | ast.ImportFrom


def _opened(body: list[ast.AST], heads: tuple[ast.AST, ...] = ()) -> Iterator[tuple[ast.AST, tuple]]:
    """Yield each statement, of a compound one its head and all within, with the heads around it."""
    for node in body:
        below = [] if isinstance(node, _Definition) else _below(node)
        inside = [s for part in below for s in ([part] if isinstance(part, ast.stmt) else part.body)]
        head = _head(node) if inside else node
        yield head, heads
        yield from _opened(inside, (*heads, head))


def _head(node: ast.AST) -> ast.AST:
    """Return a copy of a compound statement, handler or case without the statements within."""
    head = copy.copy(node)
    for name in BLOCKS:
        if isinstance(part := getattr(node, name, None), list):
            setattr(head, name, [_head(one) for one in part if not isinstance(one, ast.stmt)])
    return head


def _names(node: ast.AST) -> list[str]:
    """Return the names that a statement defines or changes, such as T in `T["a"] = 1` and `T.update(a=1)`."""
    if isinstance(node, _Definition):
        registers = [d for d in map(_callee, node.decorator_list) if isinstance(d, ast.Attribute)]
        in_globals = [name for n in ast.walk(node) if isinstance(n, ast.Global) for name in n.names]
        return [node.name, *in_globals, *filter(None, map(_root, registers))]
    if isinstance(node, _Import):
        return [(alias.asname or alias.name).partition(".")[0] for alias in node.names]
    caught = [n.name for n in ast.walk(node) if isinstance(n, ast.MatchAs | ast.MatchStar) and n.name]
    return [*caught, *_changes(node)]


def _changes(node: ast.AST) -> list[str]:
    """Return the names that are stored to or deleted, and those whose methods are called for effect alone."""
    parts = list(ast.walk(node))
    changed = [n for n in parts if isinstance(getattr(n, "ctx", None), ast.Store | ast.Del)]
    alone = [_callee(n.value) for n in parts if isinstance(n, ast.Expr) and isinstance(n.value, ast.Call)]
    return [*filter(None, map(_root, [*changed, *(f for f in alone if isinstance(f, ast.Attribute))]))]


def _callee(node: ast.AST) -> ast.AST:
    return node.func if isinstance(node, ast.Call) else node


def _root(node: ast.AST) -> str:
    """Return the name that `a.b["c"].d` begins with; "" where it begins with none."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


@functools.cache
def spectrum_code(script: Path) -> str:
    """Return the hash of the code that solves for eigenpairs; computed once a process."""
    return code_hash(f"{PACKAGE}.spectral.eigen", scripts=[script])


@functools.cache
def fit_code(model: str, script: Path) -> str:
    """Return the hash of the code that a model's fit runs through; computed once a process."""
    return code_hash(f"{PACKAGE}.models.{model}", scripts=[script])


@functools.cache
def import_code(script: Path) -> str:
    """Return the hash of the code that lists from elsewhere run through; computed once a process."""
    return code_hash(f"{PACKAGE}.evaluation.import_lists", scripts=[script])


@functools.cache
def tune_code(model: str, script: Path) -> str:
    """Return the hash of the code that a model's tuning runs through; computed once a process."""
    return code_hash(f"{PACKAGE}.models.{model}", f"{PACKAGE}.fitting.tune", scripts=[script])
