"""The stationary wavelet packet transform: frames, reconstruction, alignment, PyWavelets."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import pywt
import torch

from recspectra.config.base import ConfigError
from recspectra.layers.swpt import Packets, energy
from recspectra.spectral.wavelets import (
    band_positions,
    check_depth,
    frequency_order,
    packet_operators,
    support,
    swpt,
    taps,
)

WAVELETS = [f"coif{i}" for i in range(1, 6)] + [f"sym{i}" for i in range(2, 9)]
LENGTHS = (7, 50, 54, 62, 200)
LEVELS = (1, 2, 3)

every_length = pytest.mark.parametrize("length", LENGTHS)
every_wavelet = pytest.mark.parametrize("wavelet", WAVELETS)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


def inverse(bands: np.ndarray, wavelet: str, levels: int, order: str) -> np.ndarray:
    """The signal whose circular bands these are: the adjoint of every filter, level by level."""
    places = np.argsort(frequency_order(levels)) if order == "frequency" else np.arange(2**levels)
    nodes = list(bands[places])
    for level in reversed(range(levels)):
        shift = (len(taps(wavelet)[0]) - 1) * 2**level // 2
        back = [
            sum(weight * np.roll(node, shift - k * 2**level, axis=0) for k, weight in enumerate(f))
            for node, f in zip(nodes, taps(wavelet) * (len(nodes) // 2), strict=True)
        ]
        nodes = [low + high for low, high in zip(back[::2], back[1::2], strict=True)]
    return nodes[0]


# ------------------------------------------------------------------------- definition


@every_wavelet
@every_length
def test_signals_are_reconstructed_from_circular_bands(wavelet: str, length: int) -> None:
    x = noise(length, 3)
    for levels in LEVELS:
        for order in ("frequency", "natural"):
            bands = swpt(x, wavelet, levels, "circular", order)
            assert np.abs(inverse(bands, wavelet, levels, order) - x).max() < 1e-6


@every_wavelet
@pytest.mark.parametrize("extension", ["symmetric", "circular", "zero"])
def test_bands_are_as_long_as_the_signal_at_every_parity_and_level(wavelet: str, extension: str) -> None:
    for length in (1, 2, 7, 8, 53, 54):
        for levels in (0, 1, 2, 3):
            assert swpt(noise(length, 2), wavelet, levels, extension).shape == (2**levels, length, 2)


def composed(x: np.ndarray, wavelet: str, levels: int) -> np.ndarray:
    """PyWavelets' stationary transform of one level, applied to both children of each node."""
    nodes = [x]
    for level in range(levels):
        nodes = [c for n in nodes for c in pywt.swt(n, wavelet, 1, start_level=level, norm=True)[0]]
    return np.stack(nodes)


@every_wavelet
def test_bands_equal_those_composed_from_pywavelets_up_to_its_advance(wavelet: str) -> None:
    x, length = noise(64), len(taps(wavelet)[0])
    for levels in LEVELS:
        centre = sum((length - 1) * 2**j // 2 for j in range(levels))
        advance = length // 2 * (2**levels - 1) - centre
        ours = swpt(x, wavelet, levels, "circular", "natural")
        assert np.allclose(np.roll(composed(x, wavelet, levels), advance, axis=1), ours, atol=1e-10)


def test_order_of_bands_is_that_of_pywavelets_packets() -> None:
    for levels in LEVELS:
        packets = pywt.WaveletPacket(noise(64), "sym4", maxlevel=levels)
        natural = [node.path for node in packets.get_level(levels, "natural")]
        ordered = [node.path for node in packets.get_level(levels, "freq")]
        assert [natural[i] for i in frequency_order(levels)] == ordered
    assert band_positions(2).tolist() == [0, 1, 3, 2]


def test_the_symmetric_extension_repeats_the_value_at_the_end() -> None:
    x = noise(6)
    mirrored = np.concatenate([x[::-1], x, x[::-1], x])  # one period more, on either side
    whole = swpt(mirrored, "sym2", 1, "circular")
    assert np.allclose(swpt(x, "sym2", 1), whole[:, 6:12])


# -------------------------------------------------------------------------- bad input


def test_a_wavelet_that_does_not_exist_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"'coiff1' does not exist; did you mean 'coif1'"):
        taps("coiff1")
    with pytest.raises(ConfigError, match="not orthogonal"):
        taps("bior2.2")


def test_filters_wider_than_the_sequence_are_refused() -> None:
    assert [support("coif1", levels) for levels in LEVELS] == [6, 16, 36]
    assert [support("sym4", levels) for levels in LEVELS] == [8, 22, 50]
    check_depth("sym4", 3, 50)
    with pytest.raises(ConfigError, match="too deep: its filters span 50 steps"):
        check_depth("sym4", 3, 49)
    with pytest.raises(ConfigError, match="levels is -1"):
        check_depth("sym4", -1, 49)


def test_unknown_extensions_and_orders_are_refused() -> None:
    with pytest.raises(ConfigError, match="reflect"):
        swpt(noise(8), "sym2", 1, "reflect")
    with pytest.raises(ConfigError, match="paley"):
        swpt(noise(8), "sym2", 1, "symmetric", "paley")


# ---------------------------------------------------------------------- torch batches


def batch(lengths: list[int], width: int, d: int = 3) -> tuple[torch.Tensor, torch.Tensor, list[np.ndarray]]:
    """Rows with garbage before their sequences."""
    rows = [noise(n, d, seed=n) for n in lengths]
    x = np.full((len(rows), width, d), 7.0)
    for i, row in enumerate(rows):
        x[i, width - len(row) :] = row
    return torch.tensor(x, dtype=torch.float32), torch.tensor(lengths), rows


@pytest.mark.parametrize("extension", ["symmetric", "circular"])
@pytest.mark.parametrize("order", ["frequency", "natural"])
def test_batches_hold_the_bands_of_each_row_at_its_own_length(extension: str, order: str) -> None:
    x, lengths, rows = batch([4, 17, 1, 9], 17)
    bands = Packets("coif1", 2, 20, extension, order)(x, lengths)
    assert bands.shape == (4, 4, 17, 3)
    for i, row in enumerate(rows):
        inside = 17 - len(row)
        expected = swpt(row, "coif1", 2, extension, order)
        assert np.allclose(bands[:, i, inside:].numpy(), expected, atol=1e-5)
        assert (bands[:, i, :inside] == 0).all()


def test_gradients_of_batches_are_those_of_finite_differences() -> None:
    packets = Packets("sym2", 1, 7)
    packets.table = packets.table.double()
    packets._bases = {k: v.double() for k, v in packets._bases.items()}
    x, lengths, _ = batch([5, 7], 7, d=1)

    def found(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        bands = packets(x, lengths)
        return bands, packets.flatness(bands), packets.flatness(bands, "all_bins"), energy(bands, lengths)

    assert torch.autograd.gradcheck(found, x.double().requires_grad_())


def test_white_noise_is_flat_in_its_own_range_and_structure_is_not() -> None:
    packets = Packets("coif1", 2, 54)
    white = torch.tensor(noise(1, 54, 64), dtype=torch.float32)
    waves = torch.tensor(np.cos(2 * np.pi * np.arange(54) * 0.31)[None, :, None].repeat(64, 2)).float()
    lengths = torch.tensor([54])
    flat, structured = (packets.flatness(packets(x, lengths)) for x in (white, waves))
    assert (flat > 0.85).all()
    assert structured[0, 2] < 0.3
    assert (packets.flatness(packets(white, lengths), "all_bins") < 0.6).all()


def test_flatness_neither_depends_on_the_scale_nor_on_padding() -> None:
    packets = Packets("coif1", 2, 40)
    x, lengths, _ = batch([20], 20, d=8)
    padded = torch.cat([torch.zeros(1, 11, 8), x], dim=1)
    expected = packets.flatness(packets(x, lengths))
    assert torch.allclose(packets.flatness(packets(100 * x, lengths)), expected, atol=1e-4)
    assert torch.allclose(packets.flatness(packets(padded, lengths)), expected, atol=1e-4)


def test_energy_is_the_mean_over_the_steps_of_the_sequence() -> None:
    x, lengths, rows = batch([6, 11], 11)
    found = energy(Packets("coif1", 1, 11, "circular")(x, lengths), lengths)
    for i, row in enumerate(rows):
        assert float(found[i].sum()) == pytest.approx((row**2).sum() / len(row), rel=1e-5)


@pytest.mark.parametrize("levels", [0, 1, 3])
def test_operators_are_the_transform_of_impulses(levels: int) -> None:
    x: Any = noise(21, 2)
    found = packet_operators("sym3", levels, 21) @ x
    assert np.allclose(found, swpt(x, "sym3", levels))
