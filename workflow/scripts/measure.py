"""Measure what a kind of figure of a paper is drawn from."""

import argparse
import json
import os
from pathlib import Path

from recspectra import registry
from recspectra.files import write_text
from recspectra.running import cli
from recspectra.runtime import pick_device


def run() -> None:
    """Write the columns of the kind to `--output`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kind", required=True, help=", ".join(registry.figures()))
    parser.add_argument("--options", default="{}", help="JSON; what is left out has its default")
    parser.add_argument("--inputs", nargs="*", type=Path, default=[])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    kind, threads = registry.figure(args.kind), int(os.environ.get("OMP_NUM_THREADS", "1"))
    device = pick_device(args.device) if kind.source.on_device else "cpu"
    options = {**kind.source.options, **json.loads(args.options)}
    found = kind.source.measure(registry.Job(args.inputs, options, device, threads, cli.catalog().model))
    columns = list(kind.columns)
    write_text(args.output, found[columns].to_csv(index=False, float_format="%.10g", lineterminator="\n"))


if __name__ == "__main__":
    cli.main(run)
