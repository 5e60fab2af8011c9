"""Exports give other tools the same data and the same metrics."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from recspectra.config.dataset import DatasetConfig
from recspectra.config.yaml_io import validate
from recspectra.data import export
from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError, Interactions, from_pairs
from recspectra.data.readers import read
from recspectra.data.tables import PARTS
from recspectra.evaluation.hits import compare
from recspectra.evaluation.metrics import METRICS
from recspectra.files import write_json, write_npz
from recspectra.fitting.ranking import top_with_ties
from recspectra.identity import split_digests


def made(seed: int, share: float) -> Interactions:
    rng = np.random.default_rng(seed)
    cells = np.flatnonzero(rng.random(40 * 30) < share)
    times = rng.random(len(cells)).round(3)
    return from_pairs(cells // 30, cells % 30, times, (40, 30))


def test_trec_files_give_pytrec_eval_our_metrics() -> None:
    pytrec_eval = pytest.importorskip("pytrec_eval")
    seen, truth = made(0, 0.2), made(1, 0.1)
    scores = np.random.default_rng(2).standard_normal((40, 30)).astype(np.float32)
    lists = top_with_ties(scores, seen.matrix, 10).lists
    users = np.flatnonzero(truth.lengths)
    run: dict = {}
    ids = Ids(np.array([f"u{i}" for i in range(40)]), np.arange(100, 130))
    for line in export.trec_run(lists, users, "us", ids).splitlines():
        user, _, item, _, score, _ = line.split()
        run.setdefault(user, {})[item] = float(score)
    qrels: dict = {}
    for line in export.trec_qrels(truth, ids).splitlines():
        user, _, item, grade = line.split()
        qrels.setdefault(user, {})[item] = int(grade)
    theirs = pytrec_eval.RelevanceEvaluator(qrels, {"recall.10", "ndcg_cut.10", "recip_rank"}).evaluate(run)
    ranked = compare(lists, truth)
    for ours, name in (("recall", "recall_10"), ("ndcg", "ndcg_cut_10"), ("mrr", "recip_rank")):
        values = METRICS[ours](ranked, [10])[:, 0]
        for user, value in zip(ranked.users, values, strict=True):
            assert value == pytest.approx(theirs[f"u{user}"][name], abs=1e-9)


# Facts of RecBole 1.2: it reads data_path/NAME/NAME.PART.inter for each PART of `benchmark_filename`, one
# after the other, and tells them apart by their lengths; under the name ml-100k it reads a copy of its own.
# A header of `field:type`, tabs; pandas reads the rows with its defaults for quotes and missing values,
# tokens as texts, floats as numbers. Tokens are numbered by first appearance, from 1; 0 is [PAD].
RECBOLE_TYPES = {"token": str, "float": np.float64}


def recbole_feature(path: Path, wanted: list[str]) -> pd.DataFrame:
    head = path.read_text(encoding="utf-8").partition("\n")[0].split("\t")
    types = {name: name.split(":")[1] for name in head if name.split(":")[0] in wanted}
    frame = pd.read_csv(path, delimiter="\t", usecols=list(types),
                        dtype={name: RECBOLE_TYPES[kind] for name, kind in types.items()})  # fmt: skip
    return frame.set_axis([name.split(":")[0] for name in types], axis=1)


def recbole_split(folder: Path, name: str) -> list[pd.DataFrame]:
    settings = yaml.safe_load((folder / f"{name}.yaml").read_text(encoding="utf-8"))
    place = folder / settings["data_path"] / name
    parts = [f"{name}.{part}.inter" for part in settings["benchmark_filename"]]
    frames = [recbole_feature(place / part, settings["load_col"]["inter"]) for part in parts]
    whole, ends = pd.concat(frames, ignore_index=True), np.cumsum([len(frame) for frame in frames])
    for field in ("user_id", "item_id"):
        codes, tokens = pd.factorize(whole[field])
        assert (codes >= 0).all()  # nothing was taken for missing
        whole[field] = np.array(["[PAD]", *tokens])[codes + 1]
    return [whole[start:end] for start, end in zip([0, *ends[:-1]], ends, strict=True)]


ODD = [
    "007",
    "7",
    "Zoë Ünal",
    "北京",
    "a b",
    "it's",
    'in"side',
    "=1+1",
    "-1",
    "a,b",
    "a;b",
    "#hash",
    "é",
    "x" * 400,
]


def odd_ids() -> Ids:
    """40 users and 30 items of which some have ids that are easily changed on the way."""
    users = [*ODD, *(f"u{i:03}" for i in range(40 - len(ODD)))]
    return Ids(np.array(users), np.array([*ODD[::-1], *(f"i{i:03}" for i in range(30 - len(ODD)))]))


@pytest.mark.parametrize("times", [True, False], ids=["times", "order"])
def test_recbole_reads_the_split_with_the_users_own_ids(tmp_path: Path, times: bool) -> None:
    pieces, ids = {name: made(i, 0.3) for i, name in enumerate(PARTS)}, odd_ids()
    if not times:
        pieces = {name: replace(piece, times=None) for name, piece in pieces.items()}
    export.recbole(pieces, ids, "made", tmp_path)
    for frame, piece in zip(recbole_split(tmp_path, "made"), pieces.values(), strict=True):
        assert frame["user_id"].tolist() == ids.users[piece.users].tolist()
        assert frame["item_id"].tolist() == ids.items[piece.items].tolist()
        if times:
            assert frame["timestamp"].tolist() == piece.times.tolist()
    if not times:  # the order of a history is that of its places, over all parts
        whole = pd.concat(recbole_split(tmp_path, "made")).groupby("user_id", sort=False)["timestamp"]
        assert all(sorted(places) == list(range(len(places))) for _, places in whole)


def test_our_own_reader_takes_the_recbole_files_back(tmp_path: Path) -> None:
    pieces, ids = {name: made(i, 0.3) for i, name in enumerate(PARTS)}, odd_ids()
    paths = export.recbole(pieces, ids, "made", tmp_path)
    assert [p.name for p in paths] == ["made.train.inter", "made.valid.inter", "made.test.inter", "made.yaml"]
    for path, piece in zip(paths[:-1], pieces.values(), strict=True):
        data = {"name": "back", "path": str(path)}
        table = read(validate(DatasetConfig, data, "back.yaml"), tmp_path)
        back = ids.user_positions(table.users), ids.item_positions(table.items)
        assert np.array_equal(back[0], piece.users) and np.array_equal(back[1], piece.items)


def test_a_name_under_which_recbole_has_its_own_copy_is_not_used(tmp_path: Path) -> None:
    export.recbole({name: made(0, 0.3) for name in PARTS}, odd_ids(), "ml-100k", tmp_path)
    assert (tmp_path / "ml-100k-own" / "ml-100k-own.train.inter").is_file()


@pytest.mark.parametrize("bad", ["NA", "null", "nan", "[PAD]", '"quoted', "a\tb", "a\nb"], ids=ascii)
def test_ids_that_recbole_would_change_are_refused(tmp_path: Path, bad: str) -> None:
    ids = odd_ids()
    ids.items[3] = bad
    with pytest.raises(DataError, match=r"^item .* \(position 3\): for RecBole it .*write CSV or Parquet"):
        export.recbole({name: made(0, 0.3) for name in PARTS}, ids, "made", tmp_path)
    assert not list(tmp_path.iterdir())


def test_pandas_has_no_missing_words_that_are_not_refused() -> None:
    """Whatever word of a column of texts comes back as missing is on the list."""
    words = [*pd._libs.parsers.STR_NA_VALUES]
    assert {word for word in words if word} <= export.LOST_IN_RECBOLE


def test_trec_refuses_ids_with_blanks() -> None:
    lists = np.zeros((40, 1), dtype=np.int32)
    with pytest.raises(DataError, match=r"^user 'Zoë Ünal' \(position 2\): for TREC it holds a blank"):
        export.trec_run(lists, np.arange(3), "us", odd_ids())
    with pytest.raises(DataError, match="for TREC it holds a blank"):
        export.trec_qrels(made(0, 0.2), odd_ids())


def test_lists_as_csv_keep_every_id(tmp_path: Path) -> None:
    ids, lists = odd_ids(), np.tile(np.arange(30, dtype=np.int32), (40, 1))
    lists[5, 20:] = -1
    export.lists_csv(lists, np.arange(10), ids, tmp_path / "lists.csv")
    frame = pd.read_csv(tmp_path / "lists.csv", dtype=str, keep_default_na=False)
    assert list(frame.columns) == ["user", "item", "rank"]
    assert frame["user"].drop_duplicates().tolist() == ids.users[:10].tolist()
    of_six = frame[frame["user"] == ids.users[5]]
    assert of_six["item"].tolist() == ids.items[:20].tolist()
    assert of_six["rank"].tolist() == [str(rank) for rank in range(1, 21)]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"data": "another"}, "its numbers are not of this split"),
        ({"key": "1111111111"}, "holds the lists of run 1111111111, seed 0; was it moved here"),
        ({"seed": "7"}, "holds the lists of run 0123456789, seed 7; was it moved here"),
    ],
    ids=["split", "key", "seed"],
)
def test_lists_of_another_dataset_or_run_are_not_exported(
    named: dict[str, str], expected: str, root: Path, tmp_path: Path
) -> None:
    """Items would be named by the other dataset's numbers, or lists by the other run."""
    pieces = {name: made(i, 0.3) for i, name in enumerate(("train", "valid", "test"))}
    for name, piece in pieces.items():
        piece.save(tmp_path / "data" / f"{name}.npz")
    ids = odd_ids()
    ids.save(tmp_path / "data" / "ids.parquet")
    digests = split_digests(pieces, True) | {"ids": ids.digest}
    write_json(tmp_path / "data" / "stats.json", {"digests": digests})
    run = tmp_path / "runs/other/ease/0123456789/seed-0"
    own = {"status": "ok", "key": "0123456789", "seed": "0", "data": digests["fit"], "code": ""} | named
    write_npz(run / "rankings.npz", **{name: np.str_(word) for name, word in own.items()})
    command = [sys.executable, str(root / "workflow/scripts/export.py"), "--data", str(tmp_path / "data")]
    done = subprocess.run(
        [*command, "--run", str(run), "--folder", str(tmp_path / "out")], capture_output=True, text=True
    )
    assert done.returncode == 1 and expected in done.stderr
    assert not (tmp_path / "out").exists()
