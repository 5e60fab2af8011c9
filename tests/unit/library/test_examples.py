"""The examples in the docstrings of the public API run and print what they say."""

from __future__ import annotations

import doctest
import importlib

import pytest

import recspectra as rs

MODULES = ["recspectra", *sorted({module for module in rs.PUBLIC.values() if ".api." in module})]
WITH_EXAMPLES = ("read", "dataset", "fit", "load", "evaluate", "compare")


@pytest.mark.parametrize("name", MODULES)
def test_examples_print_what_they_say(name: str) -> None:
    failed, tried = doctest.testmod(importlib.import_module(name), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert tried and not failed


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_public_functions_have_an_example(name: str) -> None:
    assert ">>> import recspectra as rs" in getattr(rs, name).__doc__ or name == "load"
