"""The order of HiGSP's Amazon Beauty, checked against S3Rec's file by plain sets and lists."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from from_mirror import CATALOG, need

from recspectra.data import splits
from recspectra.data.interactions import Interactions
from recspectra.data.readers import read

NAME = "amazon-beauty.higsp-ordered"

Lines = dict[int, list[int]]


@pytest.fixture(scope="module")
def folder(mirror: Path) -> Path:
    need(NAME, mirror)
    return mirror


@pytest.fixture(scope="module")
def sequences(folder: Path) -> Lines:
    """Every user's items in S3Rec's file."""
    lines = (folder / "s3rec/Beauty.txt").read_text().splitlines()
    return {user: items for user, *items in (map(int, line.split()) for line in lines)}


def pieces(name: str, folder: Path) -> dict[str, Interactions]:
    config = CATALOG.dataset(name)
    return splits.split(read(config, folder), config)[0]


def test_both_sources_write_the_same_ids(folder: Path, sequences: Lines) -> None:
    found: Lines = defaultdict(list)
    for part in ("train", "valid", "test"):
        for line in (folder / f"higsp/beauty/{part}.txt").read_text().splitlines():
            user, item, *_ = line.split(",")
            found[int(user)].append(int(item))
    assert found.keys() == sequences.keys()
    assert all(sorted(found[user]) == sorted(sequences[user]) for user in found)


def test_train_and_its_union_with_valid_stand_in_the_order_of_the_sequences(
    folder: Path, sequences: Lines
) -> None:
    ordered = pieces(NAME, folder)
    both = ordered["train"].merged(ordered["valid"])
    for part in (ordered["train"], ordered["valid"], both):
        for user in range(part.n_users):
            mine = (part.sequence(user) + 1).tolist()  # ids in the files count from 1
            kept = set(mine)
            assert mine == [i for i in sequences[user + 1] if i in kept]


def test_parts_and_the_order_of_test_are_those_of_the_plain_files(folder: Path) -> None:
    ordered, plain = pieces(NAME, folder), pieces("amazon-beauty.higsp", folder)
    for part in ("train", "valid", "test"):
        assert (ordered[part].matrix != plain[part].matrix).nnz == 0
    assert np.array_equal(ordered["test"].items, plain["test"].items)
    train = ordered["train"]
    assert train.times is None  # places in another file are no moments
    moved = np.add.reduceat(train.items != plain["train"].items, train.indptr[:-1]) > 0
    assert moved.sum() > 20_000
