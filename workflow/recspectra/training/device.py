"""What has to be made anew for each kind of device: random generators and mixed precision."""

from __future__ import annotations

import contextlib

import torch


def generator(device: torch.device, seed: int) -> torch.Generator:
    """Return a seeded source of random numbers on a device."""
    return torch.Generator(device=device).manual_seed(seed)


def mixed_precision(device: torch.device, wanted: bool) -> contextlib.AbstractContextManager:
    """Return bfloat16 autocast on CUDA where it is wanted; nothing elsewhere."""
    if wanted and device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return contextlib.nullcontext()
