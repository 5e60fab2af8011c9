"""Split a table of interactions into train, valid and test, and check the counts."""

import argparse
import json
from pathlib import Path

from recspectra.data import reach_words, splits
from recspectra.data.leaks import describe, leaks
from recspectra.data.tables import InteractionTable
from recspectra.running import cli


def run() -> None:
    """Write `train.npz`, `valid.npz`, `test.npz`, `ids.parquet` and `stats.json` to `--folder`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--interactions", type=Path, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--made-with", default="{}", help="JSON: hashes of configuration, content and code")
    args = parser.parse_args()
    dataset = cli.catalog().dataset(args.dataset)
    table = InteractionTable.load(args.interactions)
    pieces, ids, said = splits.split_with_ids(table, dataset)
    stats = splits.statistics(dataset, pieces) | table.account.statistics()
    stats["digests"]["ids"] = ids.digest
    stats["leaks"] = leaks(pieces)
    stats["made_with"] = json.loads(args.made_with)
    said += [*splits.check_counts(dataset, stats), *reach_words.describe(stats), *describe(stats["leaks"])]
    ids.save(args.folder / "ids.parquet")
    splits.save(pieces, stats, args.folder)
    print("\n".join(said))


if __name__ == "__main__":
    cli.main(run)
