"""Write docs/studies.md from the schema."""

from recspectra.config import keys
from recspectra.files import write_text
from recspectra.running import cli


def run() -> None:
    """Write the page."""
    write_text(cli.ROOT / "docs" / "studies.md", keys.page(cli.ROOT))


if __name__ == "__main__":
    cli.main(run)
