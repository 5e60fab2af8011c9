"""A second device on a machine that has none: PyTorch's PrivateUse1 key, backed by CPU tensors.

After `import second_device`, `device="sim"` works like "cuda": tensors say `sim:0`, operations compute
real numbers on the CPU, and one that mixes devices fails as it does on CUDA. As there, CPU tensors of
no dimension and CPU indices are let through.

What it cannot show: kernels that CUDA alone has (cuDNN's, fused attention), their rounding, streams, and
memory. The fused GRU cell, which PyTorch takes on every device but the CPU, is written out below.
`torch.Generator` does not know the device: tests give `recspectra.training.device.generator` another.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._mode_utils import no_dispatch
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

_setup_privateuseone_for_python_backend("sim")
torch.sim.get_amp_supported_dtype = list  # asked by `torch.utils.checkpoint`
DEVICE = torch.device("sim", 0)
COPIES = {"aten::copy_", "aten::_to_copy", "aten::_copy_from", "aten::_copy_from_and_resize"}
INDEXING = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}

seen: set[str] = set()  # operations that ran on the device


class SimTensor(torch.Tensor):
    """A tensor that says it lives on `sim` and keeps its numbers in `raw`, on the CPU."""

    raw: torch.Tensor

    @staticmethod
    def __new__(cls, raw: torch.Tensor) -> SimTensor:
        place: dict[str, Any] = {"layout": raw.layout}
        if raw.layout == torch.strided:
            place = {"strides": raw.stride(), "storage_offset": raw.storage_offset()}
        made = torch.Tensor._make_wrapper_subclass(cls, raw.size(), dtype=raw.dtype, device=DEVICE, **place)
        made.raw = raw
        return made

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(func, args, kwargs or {})


def run(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Run an operation on the CPU tensors behind its arguments, if no devices are mixed."""
    name = func.name().split(".")[0]
    there = _check_devices(func, name, (args, kwargs))
    onto_sim = bool(there)
    if kwargs.get("device") is not None:
        onto_sim = torch.device(kwargs["device"]).type == "sim"
        kwargs = kwargs | {"device": torch.device("cpu")}
    if "pin_memory" in kwargs:
        kwargs = kwargs | {"pin_memory": False}
    if onto_sim:
        seen.add(name)
    out = WRITTEN_OUT.get(name, func)(*tree_map(_raw, args), **tree_map(_raw, kwargs))
    if name == "aten::copy_":
        return args[0]
    if torch.Tag.inplace_view in getattr(func, "tags", ()):  # the wrapper changes its shape as well
        with no_dispatch():
            return func(*args, **kwargs)
    if grown := [t for t in there if t.raw.shape != t.shape]:
        raise NotImplementedError(
            f"{func.name()}: gives its argument another shape, {tuple(grown[0].raw.shape)}"
        )
    same = {id(t.raw): t for t in there}  # operations in place return the wrapper they were given

    def wrapped(x: Any) -> Any:
        if not isinstance(x, torch.Tensor):
            return x
        return same.get(id(x), SimTensor(x) if onto_sim else x)

    return tree_map(wrapped, out)


def _check_devices(func: Any, name: str, given: Any) -> list[SimTensor]:
    """Return the arguments that lie on the device; raise where others lie on the CPU."""
    tensors: list[torch.Tensor] = []
    tree_map(lambda x: tensors.append(x) if isinstance(x, torch.Tensor) else None, given)
    there = [t for t in tensors if isinstance(t, SimTensor)]
    here = [t for t in tensors if not isinstance(t, SimTensor) and t.dim() > 0]
    if there and here and name not in COPIES | INDEXING:
        raise RuntimeError(
            f"{func.name()}: tensors on sim and on the CPU, the latter of shape {tuple(here[0].shape)}"
        )
    return there


def _raw(x: Any) -> Any:
    return x.raw if isinstance(x, SimTensor) else x


# ----------------------------------------------------------------- what the CPU has no kernel for


def _gru_cell(
    from_input: torch.Tensor,
    from_state: torch.Tensor,
    state: torch.Tensor,
    input_bias: torch.Tensor | None = None,
    state_bias: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return h' = n + z (h - n), with r, z and n as in torch.nn.GRUCell, and what the gradient needs."""
    if input_bias is not None:
        from_input, from_state = from_input + input_bias, from_state + state_bias
    (ir, iz, i_new), (hr, hz, h_new) = from_input.chunk(3, 1), from_state.chunk(3, 1)
    reset, update = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
    new = torch.tanh(i_new + reset * h_new)
    return new + update * (state - new), torch.cat([reset, update, new, state, h_new], 1)


def _gru_cell_backward(gradient: torch.Tensor, kept: torch.Tensor, has_bias: bool) -> tuple:
    """Return the gradients of both products, the state and both biases."""
    reset, update, new, state, h_new = kept.chunk(5, 1)
    to_update = gradient * (state - new) * update * (1 - update)
    to_new = gradient * (1 - update) * (1 - new * new)
    to_reset = to_new * h_new * reset * (1 - reset)
    to_input = torch.cat([to_reset, to_update, to_new], 1)
    to_state = torch.cat([to_reset, to_update, to_new * reset], 1)
    biases = (to_input.sum(0), to_state.sum(0)) if has_bias else (None, None)
    return to_input, to_state, gradient * update, *biases


WRITTEN_OUT: dict[str, Callable] = {
    "aten::_thnn_fused_gru_cell": _gru_cell,
    "aten::_thnn_fused_gru_cell_backward": _gru_cell_backward,
}


def _made(factory: Callable) -> Callable:
    """Return a factory for the device; PyTorch's gives an empty tensor its shape later, a wrapper cannot."""

    def make(*args: Any, dtype: torch.dtype | None = None, **_: Any) -> SimTensor:
        return SimTensor(factory(*args, dtype=dtype))

    return make


_aten = torch.library.Library("aten", "IMPL")
for _name in ("arange", "arange.start", "arange.start_step", "eye", "eye.m"):
    _aten.impl(_name, _made(getattr(torch, _name.split(".")[0])), "PrivateUse1")
_library = torch.library.Library("_", "IMPL")
_library.fallback(lambda op, *args, **kwargs: run(op, args, kwargs), "PrivateUse1")
