"""Detectron2, where none can be imported: v0.5 as a pure-Python wheel.

Detectron2 has no wheel on the package index, and its own install compiles C++. The sdist that is on
the index holds the Python sources of v0.5, unchanged, without the C++ ones, so that pip cannot
build it. `detectron2/` has the changes that let them run on current torch, numpy and Pillow, and
honest metadata.
"""

import hashlib
import re
import shutil
import tarfile
from pathlib import Path

from install.environment import Environment, SetupError, step

HERE = Path(__file__).with_name("detectron2")
PATCH, METADATA = HERE / "changes.patch", HERE / "pyproject.toml"

SDIST = "detectron2-cdo==0.5"
SDIST_SHA256 = "53c9e79e9cc943e80419c588ea44b5479507a8628ed14a4e06bd093e29311b18"

BUILD_TOOLS = (("pip==25.3", "setuptools==80.9.0"), ("pip>=23.2,<26.3", "setuptools>=77"))
"""The tools that fetch and build it, in a temporary folder; the second if an index lacks the first.
The metadata of the sdist names a dependency by URL, which pip 26.3 refuses even to download."""

# What training takes of it; its layers load the compiled operators where there are any. Not the
# model zoo: upstream's needs a pkg_resources that new versions of setuptools no longer have.
TRY = "import detectron2.modeling, detectron2.engine, detectron2.evaluation"


def install_detectron2(environment: Environment, folder: Path) -> None:
    """Install the wheel unless a Detectron2 is there; an older wheel of this project is replaced.

    Args:
        environment: where; torch is installed there.
        folder: a temporary folder that does not exist yet.

    Raises:
        SetupError: the wheel cannot be built, or the Detectron2 that is there does not load.
    """
    installed = environment.look("detectron2", "cv2")
    version = installed["versions"].get("detectron2")
    is_outdated = is_ours(version) and version != wheel_version()
    # By its place: one that PYTHONPATH lends has no version.
    if installed["places"]["detectron2"] is None or is_outdated:
        with step("Detectron2 v0.5 as a pure-Python wheel"):
            _build_and_install(environment, folder, draw=installed["places"]["cv2"] is None)
    status, output = environment.attempt("-c", TRY)
    if status:
        installed = environment.look("detectron2")
        version = installed["versions"].get("detectron2", "without a version")
        raise SetupError(
            f"Detectron2 {version} at {installed['places']['detectron2']} does not load. Build it "
            f"again for this torch, or remove it ({environment.name()} -m pip uninstall "
            "detectron2); make setup then installs a pure-Python one. "
            f"{environment.shown(output)}"
        )


def wheel_version() -> str:
    """The wheel's version: v0.5, and a hash of the changes, so that an older wheel is known."""
    digest = hashlib.sha256(SDIST_SHA256.encode() + PATCH.read_bytes() + METADATA.read_bytes())
    return f"0.5+pure.{digest.hexdigest()[:8]}"


def is_ours(version: str | None) -> bool:
    """Whether an installed detectron2 is a wheel of this project, with these changes or others."""
    return version is not None and version.startswith("0.5+pure.")


def _build_and_install(environment: Environment, folder: Path, draw: bool) -> None:
    tools, sdist, project = folder / "tools", folder / "sdist", folder / "project"
    folder.mkdir()
    # The site's constraints are for packages that are kept; these tools are temporary.
    with_tools = {"PYTHONPATH": str(tools), "PIP_CONSTRAINT": "/dev/null"}
    install = ("install", "--quiet", "--target", tools)
    exact, ranges = BUILD_TOOLS
    if environment.attempt("-m", "pip", *install, *exact, PIP_CONSTRAINT="/dev/null")[0]:
        environment.pip(*install, *ranges, PIP_CONSTRAINT="/dev/null")
    download_sdist(environment, sdist, **with_tools)
    write_project(unpack(next(sdist.glob("*.tar.gz")), folder / "unpacked"), project)
    constraints = ("--constraint", environment.constraints)
    no_isolation = ("--no-deps", "--no-build-isolation")
    environment.pip("install", *no_isolation, "--force-reinstall", project, **with_tools)
    # What it requires: by the lock, as all else.
    environment.pip("install", *constraints, "detectron2[draw]" if draw else "detectron2")


def download_sdist(
    environment: Environment, folder: Path, sha256: str = SDIST_SHA256, **environ: str
) -> None:
    """Download the pinned sdist.

    Args:
        environment: its Python runs pip, and the sdist's setup.py, which needs torch.
        folder: the folder for the sdist; created if missing.
        sha256: the SHA-256 of the file; pip checks it before it runs any code of the sdist.
        environ: further environment variables.

    Raises:
        SetupError: the index has another file under that name, or cannot be reached.
    """
    folder.mkdir(parents=True)
    requirement = folder / "requirement.txt"
    requirement.write_text(f"{SDIST} --hash=sha256:{sha256}\n", encoding="utf-8")
    options = ("--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", folder)
    environment.pip(
        "download", "--require-hashes", "--requirement", requirement, *options, **environ
    )


def unpack(sdist: Path, folder: Path) -> Path:
    """Unpack an sdist and return the one folder that it holds."""
    with tarfile.open(sdist) as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(folder, filter="data")
        else:  # Pythons before 3.10.12 and 3.11.4 have no filters; the hash vouches for the file
            archive.extractall(folder)
    (sources,) = folder.iterdir()
    return sources


def write_project(sources: Path, project: Path) -> None:
    """Write the folder that the wheel is built from: the patched package, licence and metadata.

    The projects that v0.5 has beside the package (PointRend, DeepLab, Panoptic-DeepLab) are left
    out.

    Args:
        sources: the unpacked sdist.
        project: the folder to write; must not exist.

    Raises:
        SetupError: the changes do not fit the sources.
    """
    shutil.copytree(sources / "detectron2", project / "detectron2")
    shutil.copy(sources / "LICENSE", project)
    apply_patch(PATCH.read_text(encoding="utf-8"), project)
    metadata = METADATA.read_text(encoding="utf-8")
    metadata = metadata.replace('version = "0.5"', f'version = "{wheel_version()}"', 1)
    (project / "pyproject.toml").write_text(metadata, encoding="utf-8")


def apply_patch(patch: str, root: Path) -> None:
    """Apply a unified diff; change nothing unless every hunk fits in exactly one place.

    Args:
        patch: the diff, with paths as in ``+++ b/detectron2/...``; text between the files counts
            as comment.
        root: the folder that holds ``detectron2/``.

    Raises:
        SetupError: these are other sources; names each file with a hunk that does not fit.
    """
    texts, misfits = {}, []
    for section in re.split(r"^--- ", patch, flags=re.M)[1:]:
        head, *hunks = re.split(r"^@@.*\n", section, flags=re.M)
        name = re.findall(r"^\+\+\+ b/(\S+)", head, re.M)[0]
        path = root / name
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        for hunk in hunks:
            lines = [line for line in hunk.splitlines(keepends=True) if line[0] in " +-"]
            old = "".join(line[1:] for line in lines if line[0] != "+")
            new = "".join(line[1:] for line in lines if line[0] != "-")
            if old and text.count(old) != 1:
                misfits.append(name)
            text = text.replace(old, new) if old else new
        texts[path] = text
    if misfits:
        raise SetupError(
            f"the changes of install/detectron2/changes.patch do not fit {', '.join(misfits)}. "
            "Restore install/ from the repository"
        )
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
