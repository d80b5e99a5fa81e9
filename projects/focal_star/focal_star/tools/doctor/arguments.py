"""Arguments shared with ``focal_star.tools.prepare``. Needs only the standard library."""

import argparse


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--config-file``, ``--variant``, ``--propose`` and the ``KEY VALUE`` pairs at the end.

    :func:`focal_star.config.load_variants` reads the variants.
    """
    parser.add_argument("--config-file", required=True)
    parser.add_argument(
        "--variant",
        action="append",
        metavar="'KEY VALUE ...'",
        help="pairs, possibly none, that initial weights are needed for; may be repeated",
    )
    parser.add_argument(
        "--propose",
        action="store_true",
        help="use what the extensions of the config propose for its data",
    )
    parser.add_argument("opts", nargs=argparse.REMAINDER, help="KEY VALUE pairs")
