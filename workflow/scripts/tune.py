"""Choose a model's hyperparameters on a dataset's validation part."""

import argparse
import json
import os
from pathlib import Path

from recspectra.code_hashes import spectrum_code, tune_code
from recspectra.config.model import Budget, TuneConfig, tuning_spectra
from recspectra.config.scale import NO_CAPS, Caps
from recspectra.config.yaml_io import validate
from recspectra.data.interactions import Interactions
from recspectra.fitting.scoring import Inputs, device_for, read_spectra
from recspectra.fitting.tune import TuneJob, trials_file, tune, write_tuning
from recspectra.running import cli
from recspectra.runtime import Progress, limit_threads


def run() -> None:
    """Write `trials.csv` and `best.json` to `--folder`; trials go to its SQLite file one by one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--job", required=True, help="JSON: model, params, search, trials, seed")
    parser.add_argument("--spectra", type=Path, default=Path("results/spectra"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=60.0, help="budget of one trial")
    parser.add_argument("--memory-gb", type=float, default=24.0)
    parser.add_argument("--caps", type=Caps.read, default=NO_CAPS, help="of each trial, such as minutes=10")
    parser.add_argument("--caps-text", default="", help="what the workflow knows the job's caps by")
    parser.add_argument("--code", default="")
    args = parser.parse_args()
    catalog, name = cli.catalog(), args.data.name
    config = validate(TuneConfig, json.loads(args.job), "--job")
    model = catalog.model(config.model)
    config = config.of_class(model)
    parts = [Interactions.load(args.data / f"{part}.npz") for part in ("train", "valid")]
    needs = tuning_spectra(model, config)
    # Hashing the solvers' code takes a while.
    solvers = spectrum_code(Path(__file__).with_name("spectrum.py")) if needs else None
    spectra = read_spectra(args.spectra / name, needs, parts[0], solvers)
    device = device_for(model, args.device, parts[0].shape)
    if model.kind == "trained" or device != "cpu":
        limit_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    inputs = Inputs(*parts, catalog.dataset(name).ordered, spectra)
    budget = Budget(minutes=args.minutes, memory_gb=args.memory_gb)
    code = args.code or tune_code(model.name, Path(__file__))
    sizes = {"items": parts[0].shape[1], "nodes": sum(parts[0].shape)}
    job = TuneJob(name, model, config, device, budget, code, args.caps.minutes, args.caps_text, sizes)
    progress = Progress(f"tune {model.name} {name}", config.trials, unit="trial")
    study = tune(job, inputs, args.folder / trials_file(job, inputs), progress)
    progress.close()
    write_tuning(job, study, inputs, args.folder)


if __name__ == "__main__":
    cli.main(run)
