"""Compute all metrics of a study on one dataset from the rankings on disk."""

import argparse
from pathlib import Path

from recspectra.code_hashes import run_code
from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions
from recspectra.evaluation.import_lists import doubts_of_runs
from recspectra.evaluation.measure import measure
from recspectra.files import read_json, write_json, write_text
from recspectra.identity import check_made_from, data_digest
from recspectra.running import cli

HERE = Path(__file__).parent  # rankings of other code than its scripts' are refused


def run() -> None:
    """Write one row per metric to `--output`, per-user values to `--per-user`."""
    parser = argparse.ArgumentParser(description=__doc__)
    cli.add_study(parser)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--per-user", type=Path, required=True)
    parser.add_argument("--notes", type=Path, required=True, help="what is odd about lists from elsewhere")
    args = parser.parse_args()
    study, _ = cli.study_of(args, args.dataset)
    folder = args.results / "data" / args.dataset
    pieces = {part: Interactions.load(folder / f"{part}.npz") for part in ("train", "valid", "test")}
    digests = read_json(folder / "stats.json").get("digests", {})
    for part, piece in pieces.items():
        check_made_from(folder / "stats.json", digests.get(part), data_digest(piece), args.dataset)
    ids = Ids.load(folder / "ids.parquet")
    check_made_from(folder / "ids.parquet", ids.digest, digests.get("ids", ""), args.dataset)
    planned = [r for r in study.runs if r.dataset == args.dataset]
    protocols = [(p, study.views(p)) for p in study.protocols]
    code = {r.run.model: run_code(r.run, HERE) for r in planned}
    measured = measure(planned, protocols, pieces, args.results, digests["fit"], code.__getitem__)
    write_text(args.output, measured.rows.to_csv(index=False, lineterminator="\n"))
    measured.users.write(args.per_user, ids.users)
    write_json(args.notes, doubts_of_runs(planned, study.protocols, pieces, args.results))


if __name__ == "__main__":
    cli.main(run)
