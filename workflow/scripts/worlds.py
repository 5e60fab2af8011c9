"""Score every stored list of a study on one dataset in all worlds: protocols, metrics, cut-offs, groups."""

import argparse
import json
from pathlib import Path

from recspectra.code_hashes import fit_code, import_code
from recspectra.config.scale import Choice
from recspectra.config.yaml_io import validate
from recspectra.evaluation.worlds import read_pieces, score
from recspectra.files import atomic, read_json
from recspectra.paths import Paths
from recspectra.running import cli

HERE = Path(__file__).parent  # rankings of other code than its scripts' are refused


def run() -> None:
    """Write the mean of every run in every world to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name or path of a study")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--choice", default="{}", help="JSON: scale, trials, seeds, models, ...")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    choice = validate(Choice, json.loads(args.choice), "--choice")
    choice = choice.model_copy(update={"datasets": [args.dataset]})
    study = cli.catalog().study(args.study, [args.dataset], choice)
    planned = study.compared_in_worlds(args.dataset)
    lists = {r.run.model for r in planned if r.run.imported}
    code = {m: import_code(HERE / "import_lists.py") if m in lists else fit_code(m, HERE / "fit.py")
            for m in {r.run.model for r in planned}}  # fmt: skip
    data = read_json(Paths().stats(args.dataset))["digests"]["fit"]
    found = score(planned, read_pieces(Paths(), args.dataset), Paths(), data, code.__getitem__)
    with atomic(args.output) as temporary:
        found.to_parquet(temporary, index=False)


if __name__ == "__main__":
    cli.main(run)
