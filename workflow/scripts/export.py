"""Write a prepared dataset for RecBole, or a run's lists as CSV and TREC files, with the user's own ids."""

import argparse
from pathlib import Path

from recspectra.data import export
from recspectra.data.ids import Ids
from recspectra.data.interactions import DataError, Interactions
from recspectra.data.tables import PARTS
from recspectra.evaluation.measure import read_lists
from recspectra.files import ArtifactError, read_json, write_text
from recspectra.fitting.scoring import NOT_LISTS
from recspectra.identity import check_made_from
from recspectra.running import cli


def run() -> None:
    """Write the benchmark files of RecBole, or with --run `lists.csv`, `run.txt` and `qrels.txt`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--run", type=Path, help="results/runs/DATASET/MODEL/KEY/seed-N")
    parser.add_argument(
        "--list",
        default="test_train+valid_train+valid",
        help="which list of the run: test_train_train, test_train_train+valid or (default) "
        "test_train+valid_train+valid, that is target_history_mask",
    )
    parser.add_argument("--folder", type=Path, required=True, help="where to write")
    args = parser.parse_args()
    pieces = {part: Interactions.load(args.data / f"{part}.npz") for part in PARTS}
    ids, digests = Ids.load(args.data / "ids.parquet"), read_json(args.data / "stats.json").get("digests", {})
    check_made_from(args.data / "ids.parquet", ids.digest, digests.get("ids", ""), args.data.name)
    if args.run is None:
        print("\n".join(map(str, export.recbole(pieces, ids, args.data.name, args.folder))))
        return
    *_, key, seed = args.run.resolve().parts
    lists = read_lists(
        args.run, key, seed.removeprefix("seed-"), digests.get("fit", ""), pieces["train"].shape
    )
    if args.list not in lists:
        known = [n for n in lists if n not in NOT_LISTS and "." not in n]
        raise ArtifactError(f"{args.run}: no list '{args.list}'; lists: {', '.join(known)}")
    truth = pieces[args.list.partition("_")[0]]
    users = (truth.lengths > 0).nonzero()[0]
    export.lists_csv(lists[args.list], users, ids, args.folder / "lists.csv")
    print(args.folder / "lists.csv")
    tag = f"{args.run.parts[-3]}-{args.run.parts[-2]}"
    try:
        texts = export.trec_run(lists[args.list], users, tag, ids), export.trec_qrels(truth, ids)
    except DataError as error:
        print(f"no TREC files: {error}")
        return
    for name, text in zip(("run.txt", "qrels.txt"), texts, strict=True):
        write_text(args.folder / name, text)
        print(args.folder / name)


if __name__ == "__main__":
    cli.main(run)
