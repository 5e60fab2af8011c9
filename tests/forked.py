"""Tests in a fork of their own, with the second device of `second_device` registered."""

from __future__ import annotations

import functools
import multiprocessing
import traceback
from collections.abc import Callable
from typing import Any

import torch  # once, not in every fork


@functools.cache
def _load() -> None:
    """Load what a first product on another device loads: 500 modules, a second of every fork."""
    import torch._dynamo
    import torch.distributed._functional_collectives  # noqa: F401


def in_a_fork(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a fork: with a second device PyTorch starts threads that no later fork may have."""

    @functools.wraps(test)
    def forked(**given: Any) -> None:
        _load()
        context = multiprocessing.get_context("fork")
        here, there = context.Pipe(duplex=False)
        process = context.Process(target=_with_the_device, args=(test, given, there))
        process.start()
        there.close()
        try:
            said = here.recv()
        except EOFError:
            said = "the process ended early"
        process.join(60)
        assert not said, said

    return forked


def _with_the_device(test: Callable[..., None], given: dict[str, Any], answer: Any) -> None:
    import second_device  # noqa: F401 - registers the device

    from recspectra.spectral import eigen
    from recspectra.spectral.solver_block import block_on
    from recspectra.training import device

    # The same numbers on both devices: those of the CPU's generator.
    device.generator = lambda _, seed: torch.Generator().manual_seed(seed)
    eigen.SOLVERS["torch-sim"] = block_on("sim")
    try:
        with torch.autograd.set_multithreading_enabled(False):  # an error in a thread ends the process
            test(**given)
    except BaseException:
        answer.send(traceback.format_exc())
    else:
        answer.send("")
