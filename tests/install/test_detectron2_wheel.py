"""The wheel of Detectron2: what it is made from, what it says of itself, and what it can."""

import hashlib
import importlib.metadata
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from install import detectron2_wheel
from install.detectron2_wheel import PATCH, apply_patch, install_detectron2
from install.environment import Environment, SetupError

Pretend = Callable[..., None]

SETUP_THAT_LEAVES_A_TRACE = """
from pathlib import Path
from setuptools import setup
Path({trace!r}).touch()
setup(name="detectron2_cdo", version="0.5", packages=[])
"""

CHANGES = """\
Why one is changed.
--- a/one.py
+++ b/one.py
@@ -1,2 +1,2 @@
 first
-second
+SECOND
@@ -9,1 +9,2 @@
 last
+appended
--- /dev/null
+++ b/new.py
@@ -0,0 +1 @@
+made
"""


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file that is there once the made-up sdist's setup.py ran."""
    return tmp_path / "setup-py-ran"


@pytest.fixture
def sdist(tmp_path: Path, environment: Environment, trace: Path) -> Path:
    """A made-up sdist of the pinned name and version, the only one that pip can find."""
    folder = tmp_path / "index"
    folder.mkdir()
    path = folder / "detectron2_cdo-0.5.tar.gz"
    files = {
        "setup.py": SETUP_THAT_LEAVES_A_TRACE.format(trace=str(trace)),
        "PKG-INFO": "Metadata-Version: 2.1\nName: detectron2_cdo\nVersion: 0.5\n",
    }
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"detectron2_cdo-0.5/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    environment.environ.update(PIP_NO_INDEX="1", PIP_FIND_LINKS=str(folder))
    return path


def test_another_sdist_is_refused_before_any_of_it_runs(
    environment: Environment, sdist: Path, trace: Path, tmp_path: Path
) -> None:
    with pytest.raises(SetupError, match="DO NOT MATCH THE HASHES"):
        detectron2_wheel.download_sdist(environment, tmp_path / "got")
    assert not trace.exists()


def test_the_sdist_of_the_right_hash_is_taken(
    environment: Environment, sdist: Path, trace: Path, tmp_path: Path
) -> None:
    sha256 = hashlib.sha256(sdist.read_bytes()).hexdigest()
    detectron2_wheel.download_sdist(environment, tmp_path / "got", sha256)
    assert (tmp_path / "got" / sdist.name).read_bytes() == sdist.read_bytes()
    assert trace.exists()


def test_the_installed_wheel_says_what_it_is() -> None:
    require_ours()
    distribution = importlib.metadata.distribution("detectron2")
    assert distribution.version == detectron2_wheel.wheel_version()
    metadata = distribution.metadata
    assert metadata["License-Expression"] == "Apache-2.0"
    assert "without its compiled operators" in metadata["Summary"]
    requires = metadata.get_all("Requires-Dist")
    assert "yacs>=0.1.6" in requires
    assert not [line for line in requires if line.startswith(("black", "future", "pydot"))]
    assert not [line for line in requires if " @ " in line], "the newest pip refuses URLs"
    names = [str(path) for path in distribution.files]
    assert "detectron2/model_zoo/configs/Base-RetinaNet.yaml" in names
    assert not [name for name in names if "deeplab" in name]


def require_ours() -> None:
    """Skips the test where a Detectron2 of the user is installed."""
    try:
        version = importlib.metadata.version("detectron2")
    except importlib.metadata.PackageNotFoundError:
        version = None
    if not detectron2_wheel.is_ours(version):
        pytest.skip(f"this environment's Detectron2 ({version}) is not the set-up's")


def test_a_wheel_of_this_project_is_known_by_its_version() -> None:
    assert detectron2_wheel.is_ours(detectron2_wheel.wheel_version())
    assert not detectron2_wheel.is_ours("0.5")
    assert not detectron2_wheel.is_ours("0.6+cu118")
    assert not detectron2_wheel.is_ours(None)


def test_a_patch_is_applied(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("first\nsecond\nthird\nlast\n")
    apply_patch(CHANGES, tmp_path)
    assert (tmp_path / "one.py").read_text() == "first\nSECOND\nthird\nlast\nappended\n"
    assert (tmp_path / "new.py").read_text() == "made\n"


@pytest.mark.parametrize("text", ["", "first\nthird\nlast\n", "first\nsecond\n" * 2 + "last\n"])
def test_a_patch_that_does_not_fit_changes_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "one.py").write_text(text)
    with pytest.raises(SetupError, match="do not fit one.py"):
        apply_patch(CHANGES, tmp_path)
    assert (tmp_path / "one.py").read_text() == text
    assert not (tmp_path / "new.py").exists()


def test_every_change_of_detectron2_must_fit(tmp_path: Path) -> None:
    """On other sources, each file that has changes is named."""
    (tmp_path / "detectron2").mkdir()
    with pytest.raises(SetupError) as error:
        apply_patch(PATCH.read_text(), tmp_path)
    names = [line[6:] for line in PATCH.read_text().splitlines() if line.startswith("+++ b/")]
    missing = [name for name in names if name not in str(error.value)]
    assert missing == ["detectron2/layers/no_compiled_operators.py"], "the one that is new"


def test_the_patched_package_works() -> None:
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


def test_a_users_detectron2_stays(
    environment: Environment, pretend: Pretend, tmp_path: Path
) -> None:
    """One that loads is kept, whatever its version; pip is not even called."""
    pretend("detectron2", "0.6", modeling="", engine="", evaluation="")
    install_detectron2(environment, tmp_path / "folder")
    assert "pip" not in environment.log.read_text()


def test_a_detectron2_that_does_not_load_is_named_and_stays(
    environment: Environment, pretend: Pretend, tmp_path: Path
) -> None:
    pretend("detectron2", "0.6", modeling="raise ImportError('_C: undefined symbol')", engine="")
    with pytest.raises(SetupError) as error:
        install_detectron2(environment, tmp_path / "folder")
    for said in ("Detectron2 0.6 at", "_C: undefined symbol", "pip uninstall detectron2"):
        assert said in str(error.value)
