"""Compute all metrics of a study on one dataset from the rankings on disk."""

import argparse
import json
from pathlib import Path

from recspectra.code_hashes import fit_code, import_code
from recspectra.config.scale import Choice
from recspectra.config.yaml_io import validate
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
    parser.add_argument("--study", required=True, help="name or path of a study")
    parser.add_argument("--dataset", required=True)
    parser.add_argument(
        "--choice", default="{}", help="JSON: scale, trials, seeds, epochs, minutes, models, ..."
    )
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--per-user", type=Path, required=True)
    parser.add_argument("--notes", type=Path, required=True, help="what is odd about lists from elsewhere")
    args = parser.parse_args()
    choice = validate(Choice, json.loads(args.choice), "--choice").model_copy(
        update={"datasets": [args.dataset]}
    )
    study = cli.catalog().study(args.study, [args.dataset], choice)
    folder = args.results / "data" / args.dataset
    pieces = {part: Interactions.load(folder / f"{part}.npz") for part in ("train", "valid", "test")}
    digests = read_json(folder / "stats.json").get("digests", {})
    for part, piece in pieces.items():
        check_made_from(folder / "stats.json", digests.get(part), data_digest(piece), args.dataset)
    ids = Ids.load(folder / "ids.parquet")
    check_made_from(folder / "ids.parquet", ids.digest, digests.get("ids", ""), args.dataset)
    planned = [r for r in study.runs if r.dataset == args.dataset]
    protocols = [(p, study.views(p)) for p in study.protocols]
    imported = {r.run.model for r in planned if r.run.imported}

    def code(model: str) -> str:
        return (
            import_code(HERE / "import_lists.py") if model in imported else fit_code(model, HERE / "fit.py")
        )

    measured = measure(planned, protocols, pieces, args.results, digests["fit"], code)
    write_text(args.output, measured.rows.to_csv(index=False, lineterminator="\n"))
    measured.users.write(args.per_user, ids.users)
    write_json(args.notes, doubts_of_runs(planned, study.protocols, pieces, args.results))


if __name__ == "__main__":
    cli.main(run)
