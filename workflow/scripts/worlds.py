"""Score every stored list of a study on one dataset in all worlds: protocols, metrics, cut-offs, groups."""

import argparse
import json
from functools import partial
from pathlib import Path

from recspectra.config.scale import Choice
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import Interactions
from recspectra.evaluation.worlds import score
from recspectra.files import atomic, read_json
from recspectra.identity import check_made_from, data_digest, fit_code
from recspectra.paths import Paths
from recspectra.running import cli

SCRIPT = Path(__file__).with_name("fit.py")  # rankings of other code than its are refused


def run() -> None:
    """Write the mean of every run in every world to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", required=True, help="name or path of a study")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--choice", default="{}", help="JSON: scale, trials, seeds, models, ...")
    parser.add_argument("--results", type=Path, default=Path("results"))
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    choice = validate(Choice, json.loads(args.choice), "--choice")
    study = cli.catalog().study(
        args.study, [args.dataset], choice.model_copy(update={"datasets": [args.dataset]})
    )
    paths = Paths(args.results)
    pieces = {part: Interactions.load(paths.part(args.dataset, part)) for part in ("train", "test")}
    digests = read_json(paths.stats(args.dataset)).get("digests", {})
    for part, piece in pieces.items():
        check_made_from(paths.stats(args.dataset), digests.get(part), data_digest(piece), args.dataset)
    planned = [r for r in study.runs if r.dataset == args.dataset]
    found = score(planned, pieces, paths, digests["fit"], partial(fit_code, script=SCRIPT))
    with atomic(args.output) as temporary:
        found.to_parquet(temporary, index=False)


if __name__ == "__main__":
    cli.main(run)
