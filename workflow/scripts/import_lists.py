"""Read lists that another program made, check them and write them as a run; test data are not read."""

import argparse
import json
from pathlib import Path

from recspectra.code_hashes import import_code
from recspectra.config.model import RunConfig
from recspectra.config.yaml_io import validate
from recspectra.data.ids import Ids
from recspectra.data.interactions import Interactions
from recspectra.evaluation.import_lists import Import, import_lists
from recspectra.files import ArtifactError, sha256
from recspectra.identity import fit_digest
from recspectra.running import cli


def run() -> None:
    """Write `rankings.npz` and `run.json` to `--folder`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--run", required=True, help="JSON: model, class_name, params, fit, top")
    parser.add_argument("--lists", type=Path, required=True)
    parser.add_argument(
        "--digest", required=True, help="size and sha256 of the lists when the study was read"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    args = parser.parse_args()
    if (found := f"{args.lists.stat().st_size} bytes, sha256 {sha256(args.lists)}") != args.digest:
        raise ArtifactError(f"{args.lists}: changed while the workflow ran ({found}); run it again")
    config = validate(RunConfig, json.loads(args.run), "--run")
    train, valid = (Interactions.load(args.data / f"{part}.npz") for part in ("train", "valid"))
    data = fit_digest(train, valid, cli.catalog().dataset(args.data.name).ordered)
    job = Import(args.data.name, config, args.seed, args.lists, args.digest, import_code(Path(__file__)))
    record = import_lists(job, train, valid, Ids.load(args.data / "ids.parquet"), data, args.folder)
    told = record["lists"]
    print(f"{told['file']}: {told['rows']:,} entries in the lists of {told['users']:,} users")
    print("\n".join(f"note: {doubt['text']}" for doubt in record["doubts"]))


if __name__ == "__main__":
    cli.main(run)
