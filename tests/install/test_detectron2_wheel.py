"""The wheel of Detectron2: what it is made from, what it says of itself, and what it can."""

import hashlib
import importlib.metadata
import io
import tarfile
import zipfile
from collections.abc import Callable
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from install import detectron2_wheel
from install.detectron2_install import check_loads, install_detectron2
from install.running import Runner, SetupError
from install.target import Target

Pretend = Callable[..., None]

SETUP_THAT_LEAVES_A_TRACE = """
from pathlib import Path
from setuptools import setup
Path({trace!r}).touch()
setup(name="detectron2_cdo", version="0.5", packages=[])
"""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file that is there once the made-up sdist's setup.py ran."""
    return tmp_path / "setup-py-ran"


@pytest.fixture
def sdist(tmp_path: Path, runner: Runner, trace: Path) -> Path:
    """A made-up sdist of the pinned name and version, the only one that pip can find."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "detectron2_cdo-0.5.tar.gz"
    files = {
        "setup.py": SETUP_THAT_LEAVES_A_TRACE.format(trace=str(trace)),
        "PKG-INFO": "Metadata-Version: 2.1\nName: detectron2_cdo\nVersion: 0.5\n",
        "LICENSE": "the licence",
        "detectron2/__init__.py": "",
        "detectron2/layers/__init__.py": "",
        "detectron2/model_zoo/__init__.py": "",
        "detectron2/model_zoo/configs/Base.yaml": "A: 1",
        "detectron2/model_zoo/configs/COCO/retinanet.yaml": "B: 2",
        "projects/DeepLab/deeplab/__init__.py": "",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"detectron2_cdo-0.5/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    runner.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder))
    return path


def test_another_sdist_is_refused_before_any_of_it_runs(
    target: Target, runner: Runner, sdist: Path, trace: Path, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="not the pinned one .its sha256 differs"):
        detectron2_wheel.download_sdist(target, runner, tmp_path / "got", tmp_path / "no tools")
    assert not trace.exists()


def test_the_sdist_of_the_right_hash_is_taken(
    target: Target, runner: Runner, sdist: Path, trace: Path, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(sdist.read_bytes()).hexdigest()
    got = detectron2_wheel.download_sdist(
        target, runner, tmp_path / "got", tmp_path / "no tools", sha256
    )
    assert got.read_bytes() == sdist.read_bytes()
    assert trace.exists()


@pytest.fixture
def wheel(target: Target, runner: Runner, sdist: Path, tmp_path: Path) -> Path:
    """The wheel of the made-up sources, unmended."""
    sources = detectron2_wheel.unpack(sdist, tmp_path / "unpacked")
    detectron2_wheel.write_project(sources, tmp_path / "project")
    return detectron2_wheel.build(
        target, runner, tmp_path / "project", tmp_path / "wheel", tmp_path / "no tools"
    )


def test_a_built_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        check_metadata(Parser().parsestr(archive.read(metadata).decode()))
        licence = next(name for name in names if name.endswith("/LICENSE"))
        assert archive.read(licence) == b"the licence"
    assert "detectron2/model_zoo/configs/Base.yaml" in names
    assert "detectron2/model_zoo/configs/COCO/retinanet.yaml" in names
    assert not [name for name in names if "deeplab" in name]
    assert wheel.name.endswith("-py3-none-any.whl")


def test_the_installed_wheel_says_what_it_is() -> None:
    require_ours()
    distribution = importlib.metadata.distribution("detectron2")
    assert distribution.version == detectron2_wheel.wheel_version()
    check_metadata(distribution.metadata)


def check_metadata(metadata: Message) -> None:
    """What must hold for the wheel's metadata, freshly built or installed."""
    assert metadata["Name"] == "detectron2"
    assert metadata["Version"] == detectron2_wheel.wheel_version()
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "without its compiled operators" in metadata["Summary"]
    requires = metadata.get_all("Requires-Dist")
    assert "yacs>=0.1.6" in requires
    assert not [line for line in requires if line.startswith(("black", "future", "pydot"))]
    assert not [line for line in requires if " @ " in line], "newest pip refuses URLs"


def require_ours() -> None:
    """Skips the test where a Detectron2 of the user's own is installed."""
    try:
        version = importlib.metadata.version("detectron2")
    except importlib.metadata.PackageNotFoundError:
        version = None
    if not detectron2_wheel.is_ours(version):
        pytest.skip(f"this environment's Detectron2 ({version}) is not the set-up's")


def test_the_version_tells_the_mends() -> None:
    version = detectron2_wheel.wheel_version()
    assert detectron2_wheel.is_ours(version)
    assert not detectron2_wheel.is_ours("0.5")
    assert not detectron2_wheel.is_ours("0.6+cu118")
    assert not detectron2_wheel.is_ours(None)


def test_the_mended_package_works() -> None:
    require_ours()
    import numpy as np
    import torch
    from detectron2 import model_zoo
    from detectron2.data.build import print_instances_class_histogram
    from detectron2.evaluation.coco_evaluation import COCOeval, COCOeval_opt
    from detectron2.layers.rotated_boxes import pairwise_iou_rotated
    from detectron2.utils.visualizer import GenericMask

    config = model_zoo.get_config("COCO-Detection/retinanet_R_50_FPN_1x.yaml")
    assert config.MODEL.META_ARCHITECTURE == "RetinaNet"
    with pytest.raises(RuntimeError, match="nothing.yaml not available in Model Zoo"):
        model_zoo.get_config_file("nothing.yaml")
    with pytest.raises(RuntimeError, match="box_iou_rotated is missing"):
        pairwise_iou_rotated(torch.zeros(1, 5), torch.zeros(1, 5))
    assert COCOeval_opt is COCOeval
    print_instances_class_histogram([{"annotations": [{"category_id": 0}]}], ["digit"])
    assert GenericMask(np.ones((2, 3), np.uint8), 2, 3).area() == 6


def test_a_detectron2_of_the_users_own_stays(
    target: Target, runner: Runner, pretend: Pretend, tmp_path: Path
) -> None:
    """One that loads is kept, whatever its version; pip is not even called."""
    pretend("detectron2", "0.6", modeling="", engine="", evaluation="")
    install_detectron2(target, runner, tmp_path / "keep.txt", tmp_path / "folder")
    assert "pip" not in runner.log.read_text()


def test_a_detectron2_that_does_not_load_is_named_and_stays(
    target: Target, runner: Runner, pretend: Pretend
) -> None:
    pretend("detectron2", "0.6", modeling="raise ImportError('_C: undefined symbol')", engine="")
    with pytest.raises(SetupError) as error:
        check_loads(target, runner)
    for said in ("Detectron2 0.6 at", "_C: undefined symbol", "pip uninstall detectron2"):
        assert said in str(error.value)
