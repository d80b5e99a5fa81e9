"""A pure-Python wheel of Detectron2 v0.5, made from its sdist and the mends.

Detectron2 has no wheel on the package index and its own install compiles C++. The sdist that is
there (see `pins`) holds its Python sources, unchanged, and not the C++ ones, so that pip cannot
build it.
"""

import hashlib
import shutil
import tarfile
from pathlib import Path

from install import pins
from install.detectron2_mends import MENDS, NO_OPERATORS_SOURCE, apply_mends
from install.running import Runner, SetupError
from install.target import Target

SUMMARY = (
    "The Python sources of Detectron2 v0.5 without its compiled operators, mended to run on "
    "current torch, numpy and Pillow"
)

# What the sources import, with the bounds that v0.5 has. Left out: black, which it pins to an old
# version for writing a LazyConfig as Python; future and pydot, for an export to Caffe2, which torch
# no longer holds.
REQUIRES = (
    "cloudpickle",
    "fvcore>=0.1.5",
    "hydra-core>=1.1",
    "iopath>=0.1.7",
    "matplotlib",
    "numpy",
    "omegaconf>=2.1",
    "Pillow>=7.1",
    "pycocotools>=2.0.2",
    "PyYAML>=5.1",
    "tabulate",
    "tensorboard",
    "termcolor>=1.1",
    "torch",
    "torchvision",
    "tqdm>4.29.0",
    "yacs>=0.1.6",
)

# Drawing needs cv2, which comes from one of several distributions that overwrite one another: an
# extra, so that one that is there stays.
DRAWING = "opencv-python-headless"

PROJECT_FILE = """\
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"

[project]
name = "detectron2"
version = "{version}"
description = "{summary}"
readme = "MENDS.md"
license = "Apache-2.0"
license-files = ["LICENSE"]
authors = [{{ name = "FAIR" }}]
requires-python = ">=3.10"
dependencies = {requires}
optional-dependencies = {{ draw = ["{drawing}"] }}
urls = {{ Upstream = "https://github.com/facebookresearch/detectron2" }}

[tool.setuptools.packages.find]
include = ["detectron2*"]
exclude = ["detectron2.model_zoo.configs*"]

[tool.setuptools.package-data]
"detectron2.model_zoo" = ["configs/**/*.yaml", "configs/**/*.py"]
"""


def wheel_version() -> str:
    """The version of the wheel: v0.5, and which mends, so that a wheel with older ones is known."""
    digest = hashlib.sha256(
        repr((pins.SDIST_SHA256, MENDS, NO_OPERATORS_SOURCE, REQUIRES)).encode()
    )
    return f"0.5+pure.{digest.hexdigest()[:8]}"


def is_ours(version: str | None) -> bool:
    """Whether an installed detectron2 is a wheel that this module made, with these mends or not."""
    return version is not None and version.startswith("0.5+pure.")


def make_wheel(target: Target, runner: Runner, folder: Path) -> Path:
    """Downloads the sdist, mends its sources and builds the wheel.

    Args:
        target: the environment whose Python builds; has torch, which the sdist's metadata needs.
        runner: runs pip.
        folder: an empty temporary folder.

    Returns:
        The wheel's path, in that folder.
    """
    tools = folder / "tools"
    runner.run([target.python, "-m", "pip", "install", "--target", tools, *pins.BUILD_TOOLS])
    sdist = download_sdist(target, runner, folder / "sdist", tools)
    sources = unpack(sdist, folder / "unpacked")
    project = folder / "project"
    write_project(sources, project)
    apply_mends(project)
    return build(target, runner, project, folder / "wheel", tools)


def download_sdist(
    target: Target, runner: Runner, folder: Path, tools: Path, sha256: str = pins.SDIST_SHA256
) -> Path:
    """Downloads the pinned sdist with the pinned pip.

    Args:
        target: the environment whose Python runs pip.
        runner: runs it.
        folder: where the sdist is put.
        tools: the folder of the pinned pip and setuptools; one without them leaves it to the
            environment's own.
        sha256: what the file must have; pip checks it before it runs the sdist's setup.py.

    Raises:
        SetupError: the index has another file under that name, or cannot be reached.
    """
    folder.mkdir(parents=True)
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{pins.SDIST} --hash=sha256:{sha256}\n", encoding="utf-8")
    runner.run(
        [
            *(target.python, "-m", "pip", "download", "--require-hashes", "--requirement"),
            *(requirement, "--dest", folder, "--no-deps", "--no-build-isolation"),
            *("--no-binary", ":all:"),
        ],
        PYTHONPATH=str(tools),
    )
    (sdist,) = folder.glob("*.tar.gz")
    return sdist


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpacks an sdist and returns the one folder that it holds."""
    with tarfile.open(sdist) as archive:
        # Pythons before 3.10.12 and 3.11.4 know no filters; the hash vouches for the file.
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder, **safely)
    (sources,) = folder.iterdir()
    return sources


def write_project(sources: Path, project: Path) -> None:
    """Writes the folder that the wheel is built from: the package, its licence, honest metadata.

    The projects that v0.5 carries beside the package (PointRend, DeepLab, Panoptic-DeepLab) stay
    out. The model zoo's configs come with it.

    Args:
        sources: the unpacked sdist.
        project: the folder to write; must not exist.
    """
    shutil.copytree(sources / "detectron2", project / "detectron2")
    shutil.copy(sources / "LICENSE", project / "LICENSE")
    (project / "MENDS.md").write_text(describe_mends(), encoding="utf-8")
    requires = "[" + ", ".join(f'"{requirement}"' for requirement in REQUIRES) + "]"
    (project / "pyproject.toml").write_text(
        PROJECT_FILE.format(
            version=wheel_version(), summary=SUMMARY, requires=requires, drawing=DRAWING
        ),
        encoding="utf-8",
    )


def describe_mends() -> str:
    """The wheel's long description: what differs from v0.5, file by file."""
    lines = [f"- `{mend.file}`: {mend.why}" for mend in MENDS]
    return "\n".join([f"{SUMMARY}. Changed files:", "", *dict.fromkeys(lines), ""])


def build(target: Target, runner: Runner, project: Path, folder: Path, tools: Path) -> Path:
    """Builds the wheel of a project folder with the pinned pip and setuptools.

    Raises:
        SetupError: no wheel, or more than one, came out.
    """
    runner.run(
        [
            *(target.python, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"),
            *("--wheel-dir", folder, project),
        ],
        PYTHONPATH=str(tools),
    )
    wheels = sorted(folder.glob("detectron2-*.whl"))
    if len(wheels) != 1:
        raise SetupError(
            f"building Detectron2 gave {len(wheels)} wheels, not one. Run make setup again, and "
            f"read {runner.log_name()} if that does not help"
        )
    return wheels[0]
