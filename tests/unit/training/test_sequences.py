"""Batches of ordered histories equal a plain loop; the full softmax equals torch's cross-entropy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recspectra.data.interactions import Interactions, from_pairs
from recspectra.training.sequences import SequenceBatch, Sequences, left_padded

LENGTHS = [0, 1, 2, 7, 3, 13, 5, 4, 9, 2, 1, 6]
PAD = 40


@pytest.fixture(scope="module")
def ragged() -> Interactions:
    """Rows of all lengths, no item twice in a row."""
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(PAD)[:n] for n in LENGTHS])
    users = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    return from_pairs(users, items, None, (len(LENGTHS), PAD))


def served(sequences: Sequences, seed: int = 0) -> list[SequenceBatch]:
    return list(sequences(torch.Generator().manual_seed(seed)))


def rows_of(batches: list[SequenceBatch]) -> list[tuple]:
    """What the rows say: user, real inputs, and the targets at their places from the right."""
    found = []
    for batch in batches:
        for user, inputs, targets in zip(batch.users, batch.inputs, batch.targets, strict=True):
            real = tuple(inputs[inputs != PAD].tolist())
            found.append((int(user), real, tuple(targets[targets >= 0].tolist())))
    return sorted(found)


def plainly(data: Interactions, max_len: int, targets: str, windows: str) -> list[tuple]:
    found = []
    for user in range(data.n_users):
        row = data.sequence(user).tolist()
        ends = list(range(len(row) - 1, 0, -1))
        if targets == "last":
            ends = ends[:1]
        elif windows == "recent":
            ends = ends[:max_len]
        for end in ends[:: max_len if targets == "all" else 1]:
            start = max(0, end - max_len)
            after = tuple(row[start + 1 : end + 1]) if targets == "all" else (row[end],)
            found.append((user, tuple(row[start:end]), after))
    return sorted(found)


# --------------------------------------------------------------------------- sequences


@pytest.mark.parametrize("bucket", [False, True])
@pytest.mark.parametrize("windows", ["recent", "every"])
@pytest.mark.parametrize("targets", ["last", "all", "prefix"])
@pytest.mark.parametrize("max_len", [1, 4, 20])
def test_an_epoch_equals_a_loop_over_users(
    ragged: Interactions, targets: str, windows: str, max_len: int, bucket: bool
) -> None:
    batches = served(Sequences(ragged, max_len, 4, "cpu", targets, windows, bucket))
    assert rows_of(batches) == plainly(ragged, max_len, targets, windows)


@pytest.mark.parametrize("targets", ["last", "all", "prefix"])
def test_targets_stand_under_the_item_they_follow(ragged: Interactions, targets: str) -> None:
    batches = served(Sequences(ragged, 6, 5, "cpu", targets))
    assert batches
    for batch in batches:
        assert batch.inputs.shape == batch.targets.shape == (len(batch.users), 6)
        for user, inputs, following in zip(batch.users, batch.inputs, batch.targets, strict=True):
            row = ragged.sequence(int(user)).tolist()
            for item, target in zip(inputs.tolist(), following.tolist(), strict=True):
                assert target == -1 or row[row.index(item) + 1] == target
            assert following[-1] >= 0
            assert targets == "all" or (following[:-1] == -1).all()


def test_windows_of_all_positions_hold_every_transition_once(ragged: Interactions) -> None:
    found = [t for *_, row in rows_of(served(Sequences(ragged, 3, 4, "cpu", "all", "every"))) for t in row]
    assert len(found) == sum(max(0, n - 1) for n in LENGTHS)


def test_a_bucketed_batch_is_the_right_part_of_the_padded_one(ragged: Interactions) -> None:
    batches = served(Sequences(ragged, 20, 4, "cpu", "prefix", bucket=True))
    assert len({batch.inputs.shape[1] for batch in batches}) > 1
    for batch in batches:
        width = batch.inputs.shape[1]
        assert (batch.inputs != PAD).sum(dim=1).max() == width
        assert (batch.inputs[:, -1] != PAD).all()


def test_bucketed_batches_hold_little_padding_and_similar_numbers_of_targets() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(2, 60, 3000)
    users = np.repeat(np.arange(3000), lengths)
    data = from_pairs(users, rng.integers(0, PAD, len(users)), None, (3000, PAD))
    batches = served(Sequences(data, 50, 32, "cpu", "all", bucket=True))
    real = sum(int((b.inputs != PAD).sum()) for b in batches)
    assert real > 0.95 * sum(b.inputs.numel() for b in batches)
    counts = np.array([int((b.targets >= 0).sum()) for b in batches])
    assert np.sort(counts)[1:].min() > 0.85 * counts.mean()
    assert counts.max() < 1.15 * counts.mean()
    widths = [b.inputs.shape[1] for b in batches]
    assert abs(np.corrcoef(widths, np.arange(len(widths)))[0, 1]) < 0.3  # shuffled, not sorted


def test_the_generator_decides_on_the_order_alone(ragged: Interactions) -> None:
    sequences = Sequences(ragged, 6, 4, "cpu", "prefix", bucket=True)
    one, same, other = served(sequences), served(sequences), served(sequences, seed=1)
    assert all(torch.equal(a.inputs, b.inputs) and a.seed == b.seed for a, b in zip(one, same, strict=True))
    assert [b.users.tolist() for b in one] != [b.users.tolist() for b in other]
    assert len({b.seed for b in one + other}) == len(one) + len(other)
    assert rows_of(one) == rows_of(other)


@pytest.mark.parametrize("bucket", [False, True])
def test_data_without_a_pair_of_items_give_no_batches(bucket: bool) -> None:
    single = from_pairs(np.array([0, 1]), np.array([3, 5]), None, (4, PAD))
    for targets in ("last", "all", "prefix"):
        assert served(Sequences(single, 5, 4, "cpu", targets, bucket=bucket)) == []


# --------------------------------------------------------------------------- left_padded


def test_left_padding_keeps_the_most_recent_items() -> None:
    indptr, items = np.array([0, 0, 2, 6]), np.array([7, 8, 1, 2, 3, 4])
    found = left_padded(indptr, items, 3, 9)
    assert found.dtype == torch.int64
    assert found.tolist() == [[9, 9, 9], [9, 7, 8], [2, 3, 4]]


def test_left_padding_of_empty_histories_is_padding() -> None:
    found = left_padded(np.array([0, 0, 0]), np.array([], dtype=np.int32), 2, 9)
    assert found.tolist() == [[9, 9], [9, 9]]


@pytest.mark.parametrize("items", [[9], [-1]])
def test_an_id_out_of_range_is_an_error(items: list[int]) -> None:
    with pytest.raises(ValueError, match="outside"):
        left_padded(np.array([0, 1]), np.array(items), 3, 9)
