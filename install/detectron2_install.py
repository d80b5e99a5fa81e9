"""Which Detectron2 an environment uses: the one that is there, else the pure-Python wheel."""

from pathlib import Path

from install.detectron2_wheel import is_ours, make_wheel, wheel_version
from install.diagnosis import telling_line
from install.running import Runner, SetupError, step
from install.target import Target, require_look

# What training takes of it; its layers load the compiled operators, where there are any. Not the
# model zoo: upstream's needs a pkg_resources that new setuptools no longer has.
TRY = "import detectron2.modeling, detectron2.engine, detectron2.evaluation"


def install_detectron2(target: Target, runner: Runner, keep: Path, folder: Path) -> None:
    """Installs the pure-Python Detectron2 unless another one, or this one, is there.

    Args:
        target: the environment.
        runner: runs pip.
        keep: a file of versions that pip must keep (torch's).
        folder: a temporary folder that does not exist yet.

    Raises:
        SetupError: the wheel cannot be made, or the Detectron2 that is there does not load.
    """
    found = require_look(target, ("detectron2", "cv2"), runner)
    version = found.versions["detectron2"]
    outdated = is_ours(version) and version != wheel_version()
    # By its place: one that PYTHONPATH lends has no version.
    if found.places["detectron2"] is None or outdated:
        with step("Detectron2 v0.5 as a pure-Python wheel"):
            folder.mkdir()
            wheel = make_wheel(target, runner, folder)
            # With cv2 for drawing, unless one is there: its distributions overwrite one another.
            requirement = f"{wheel}[draw]" if found.places["cv2"] is None else str(wheel)
            pip = [target.python, "-m", "pip", "install"]
            runner.run([*pip, "--constraint", keep, requirement])
    with step("a look whether Detectron2 loads"):
        check_loads(target, runner)


def check_loads(target: Target, runner: Runner) -> None:
    """Imports what training needs of Detectron2.

    Raises:
        SetupError: it does not load; names what is there.
    """
    status, output = runner.attempt([target.python, "-c", TRY])
    if status == 0:
        return
    found = require_look(target, ("detectron2",), runner)
    version = found.versions["detectron2"] or "without a version"
    raise SetupError(
        f"Detectron2 {version} at {found.places['detectron2']} does not load "
        f"({telling_line(output)}). Build it again for this torch, or remove it "
        f"({target.name()} -m pip uninstall detectron2); then run make setup again, which installs "
        "a pure-Python one where there is none"
    )
