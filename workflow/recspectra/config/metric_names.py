"""Names of metrics and what a configuration and a glossary must know of them, read without NumPy.

The registry is `evaluation/metrics.py`: `@metric("name", ...)` stands over each function.
"""

from __future__ import annotations

import ast
from functools import cache
from typing import Any

from recspectra.files import PACKAGE_DIR

SOURCE = PACKAGE_DIR / "evaluation" / "metrics.py"


@cache
def declared() -> dict[str, dict[str, Any]]:
    """Return name -> what `@metric` says of each metric, `source` and `example` left out, in their order."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    calls = [call for node in functions for call in node.decorator_list if _registers(call)]
    return {call.args[0].value: _flags(call) for call in calls}


def _registers(call: ast.expr) -> bool:
    return isinstance(call, ast.Call) and getattr(call.func, "id", "") == "metric"


def _flags(call: ast.Call) -> dict[str, Any]:
    given = {word.arg: word.value.value for word in call.keywords if isinstance(word.value, ast.Constant)}
    flags = {"definition": "", "note": "", "of": "user", "half_ties": False, "needs_train": False}
    flags |= {"ranked": True}
    return {name: given.get(name, default) for name, default in flags.items()}


def of_users(metric: str) -> bool:
    """Return whether a metric is a number of each user."""
    return declared()[metric]["of"] == "user"
