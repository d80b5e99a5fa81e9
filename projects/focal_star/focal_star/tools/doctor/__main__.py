"""``python -m focal_star.tools.doctor``: checks whether this machine meets the requirements.

It prints one line per check: ``ok``, ``warning`` (a training starts, but may give poor results) or
``fault`` (it does not start), with what to do. It downloads and trains nothing, but creates the
embedded data set if it does not exist yet.

For a study, ``python -m ablations doctor`` calls it with the study's config, settings and disk.
"""

import argparse
import importlib
import platform
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

from focal_star.errors import ConfigError
from focal_star.io.machine import package_version
from focal_star.io.quoting import first_line
from focal_star.tools.doctor.arguments import add_config_arguments
from focal_star.tools.doctor.findings import FAULT, OK, WARNING, Finding

PYTHON = (3, 10)
PACKAGES = ("torch", "torchvision", "detectron2")


def main(argv: list[str] | None = None) -> int:
    """Print the findings.

    Returns:
        0 without a fault, 1 with one, 2 if the config cannot be used.
    """
    options = _parser().parse_args(argv)
    warnings.simplefilter("ignore")  # the packages warn about each other
    states = []
    for finding in versions():
        print(finding, flush=True)
        states.append(finding.state)
    if FAULT in states:
        return 1
    try:
        for finding in requirements_of(options):
            print(finding, flush=True)
            states.append(finding.state)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(", ".join(f"{states.count(state)} {state}" for state in (FAULT, WARNING, OK)))
    return 1 if FAULT in states else 0


def versions() -> Iterator[Finding]:
    """Check Python and the packages that a training imports."""
    running, wanted = platform.python_version(), ".".join(map(str, PYTHON))
    if sys.version_info[:2] < PYTHON:
        yield Finding(
            FAULT, "Python", f"{running}; {wanted} or later is needed: make setup PYTHON=..."
        )
    else:
        yield Finding(OK, "Python", running)
    for package in PACKAGES:
        try:
            module = importlib.import_module(package)
        except Exception as error:  # a broken build may raise anything
            text = f"cannot be imported ({type(error).__name__}: {error}); make setup"
            yield Finding(FAULT, package, text)
            continue
        yield Finding(OK, package, package_version(package) or getattr(module, "__version__", "?"))
        if package == "torchvision":
            yield _torchvision_operators()
        if package == "detectron2":
            yield _detectron2_operators()


def requirements_of(options: argparse.Namespace) -> Iterator[Finding]:
    """Check everything that the training runs of a config need.

    Raises:
        ConfigError: the config, or one of its variants, cannot be used.
    """
    from focal_star.config import load_variants
    from focal_star.tools.doctor import requirements

    overrides = options.opts
    if options.propose:
        finding, pairs = requirements.proposal(options.config_file, overrides)
        overrides = [*pairs, *overrides]
        if finding:
            yield finding
    cfgs = list(load_variants(options.config_file, options.variant or [""], overrides).values())
    cfg = cfgs[0]
    on_data = list(requirements.data(cfg))
    yield from on_data
    if all(finding.state != FAULT for finding in on_data):
        yield requirements.classes(cfg)
        yield requirements.anchors(cfg)
    yield from dict.fromkeys(requirements.weights(each) for each in cfgs)
    if options.num_gpus:
        yield requirements.gpus(cfg, options.num_gpus)
    else:
        yield Finding(OK, "GPUs", "not checked: another machine trains")
    yield requirements.learning_rate(cfg, options.num_gpus)
    yield requirements.disk(options.output, options.disk_bytes)


def _torchvision_operators() -> Finding:
    """Run one; it fails if torchvision was built for another torch."""
    import torch
    from torchvision.ops import nms

    try:
        nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    except (RuntimeError, NotImplementedError) as error:
        first = first_line(error)
        text = f"they fail with this torch ({first}); install torch and torchvision of one release"
        return Finding(FAULT, "torchvision's operators", text)
    return Finding(OK, "torchvision's operators", "usable")


def _detectron2_operators() -> Finding:
    """Look for Detectron2's compiled operators, which no detector of this project needs."""
    try:
        importlib.import_module("detectron2._C")
    except ImportError as error:
        reason = "not installed" if isinstance(error, ModuleNotFoundError) else f"broken ({error})"
        return Finding(
            OK, "Detectron2's operators", f"{reason}; RetinaNet and Faster R-CNN need none"
        )
    return Finding(OK, "Detectron2's operators", "compiled")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m focal_star.tools.doctor",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_config_arguments(parser)
    parser.add_argument(
        "--num-gpus", type=int, default=1, help="GPUs of one training (default: 1); 0: do not check"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("output"),
        help="(default: output)",
    )
    parser.add_argument("--disk-bytes", type=int, default=0, help="the space needed there")
    return parser


if __name__ == "__main__":
    from focal_star.io.pipes import until_pipe_closes

    sys.exit(until_pipe_closes(main))
