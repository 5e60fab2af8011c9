"""Write the tables of RESULTS.md from the numbers kept in results/reference."""

import argparse
from pathlib import Path

from recspectra.files import write_text
from recspectra.reporting.kept import fill
from recspectra.reporting.published import Published
from recspectra.running import cli


def run() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", nargs="?", type=Path, default=cli.ROOT / "RESULTS.md")
    page = parser.parse_args().page
    kept = cli.ROOT / "results" / "reference"
    write_text(page, fill(page.read_text(encoding="utf-8"), kept, Published(cli.ROOT), page.name))


if __name__ == "__main__":
    cli.main(run)
