"""Fit one model on one dataset with one seed and write its rankings."""

import argparse
import json
import os
from pathlib import Path

from recspectra.code_hashes import fit_code, spectrum_code, tune_code
from recspectra.config.base import ConfigError
from recspectra.config.model import Budget, RunConfig, needed_spectra
from recspectra.config.scale import NO_CAPS, Caps
from recspectra.config.yaml_io import read_yaml, validate
from recspectra.data.interactions import Interactions
from recspectra.files import read_json
from recspectra.fitting.fit import Job, execute
from recspectra.fitting.scoring import Inputs, device_for, read_spectra
from recspectra.identity import check_code, check_made_from
from recspectra.running import cli
from recspectra.runtime import limit_threads

HERE = Path(__file__).resolve().parent  # a file that other scripts' code made says so


def chosen(path: Path | None, config: RunConfig, data: str) -> dict:
    """Return the values that a tuning job chose on these data; none for a run that is not tuned."""
    if config.tune is None:
        return {}
    if path is None:
        raise ConfigError("a tuned run needs --tuned, the best.json of its tuning job")
    best = read_json(path)
    if best["key"] != config.tune.key:
        raise ConfigError(f"{path}: belongs to tuning job {best['key']}, not to {config.tune.key}; delete it")
    check_made_from(path, best.get("data"), data, path.parent)
    check_code(path, best.get("code"), tune_code(config.model, HERE / "tune.py"), path.parent)
    return best["params"]


def train_run(path: Path | None, config: RunConfig, seed: int, data: str) -> dict | None:
    """Return the record of the run on train that says how long a refit learns."""
    if path is None or config.fit == "train":
        return None
    record = read_json(path)
    if (record["key"], record["seed"]) != (config.train_run.key, seed):
        raise ConfigError(f"{path}: not the run on train of this configuration and seed; delete it")
    check_made_from(path, record.get("data"), data, path.parent)
    check_code(path, record.get("code"), fit_code(config.model, HERE / "fit.py"), path.parent)
    return record


def arguments() -> argparse.Namespace:
    """Return what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="results/data/DATASET")
    parser.add_argument("--run", required=True, help="JSON, or a YAML file: model, params, fit, top")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tuned", type=Path, help="best.json of the run's tuning job")
    parser.add_argument(
        "--train-run", type=Path, help="run.json of the same run on train; a refit learns as long"
    )
    parser.add_argument("--spectra", type=Path, default=Path("results/spectra"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--checkpoints", type=Path)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--memory-gb", type=float, default=24.0)
    parser.add_argument("--caps", type=Caps.read, default=NO_CAPS, help="such as epochs=40,minutes=10")
    parser.add_argument("--caps-text", default="", help="what the workflow knows the run's caps by")
    parser.add_argument("--code", default="")
    parser.add_argument("--keep", default="", help="save the model; what the workflow knows that by")
    return parser.parse_args()


def run() -> None:
    """Write `rankings.npz` and `run.json` to `--folder`."""
    args = arguments()
    catalog, name = cli.catalog(), args.data.name
    inline = args.run.lstrip().startswith("{")
    config = validate(RunConfig, json.loads(args.run) if inline else read_yaml(args.run), "--run")
    model = catalog.model(config.model)
    config = config.of_class(model)
    parts = [Interactions.load(args.data / f"{part}.npz") for part in ("train", "valid")]
    inputs = Inputs(*parts, catalog.dataset(name).ordered, {})
    params = model.resolve({**chosen(args.tuned, config, inputs.digest), **config.params})
    if config.tune is None:
        config = config.model_copy(update={"params": params})
    needs = needed_spectra(model, config, params)
    if needs:  # hashing the solvers' code takes a while
        fitted, code = inputs.part(config.fit), spectrum_code(HERE / "spectrum.py")
        inputs.spectra.update(read_spectra(args.spectra / name, needs, fitted, code))
    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    device = device_for(model, args.device, parts[0].shape)
    if model.kind == "trained" or device != "cpu":
        limit_threads(threads)
    budget = Budget(minutes=args.minutes, memory_gb=args.memory_gb)
    job = Job(name, model, config, params, args.seed, device, threads, budget,
              args.code or fit_code(model.name, HERE / "fit.py"), args.checkpoints,
              args.caps, args.caps_text,
              train_run(args.train_run, config, args.seed, inputs.digest))  # fmt: skip
    ids = None
    if args.keep:
        from recspectra.data.ids import Ids  # pandas, which no other fit needs

        ids = Ids.load(args.data / "ids.parquet")
    print(f"fit {model.title} on {name}, seed {args.seed}: key {config.key}, code {job.code}", flush=True)
    print(execute(job, inputs, args.folder, ids, args.keep))


if __name__ == "__main__":
    cli.main(run)
