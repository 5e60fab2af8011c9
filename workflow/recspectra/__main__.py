"""`python -m recspectra`: what saved models recommend."""

from recspectra.api import command
from recspectra.running import cli

if __name__ == "__main__":
    cli.main(command.run)
