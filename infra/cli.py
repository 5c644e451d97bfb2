"""The entry point of the command ``tallystick``: are the packages our own? Then the command line is loaded."""

import sys

from infra.startup import refuse_foreign_packages


def main() -> None:
    """Run the command line and exit with its code."""
    refuse_foreign_packages()
    # Not at the top: what this imports may be somebody else's until the line above has returned.
    from infra.commandline import run

    sys.exit(run())


if __name__ == "__main__":
    main()
