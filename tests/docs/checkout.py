"""A copy of the checkout in which the documented commands take seconds.

The commands are the ones that a reader types. They run on less: 2 iterations, a few images, a few
rows of each table. The copy uses the environment of the tests.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml
from PIL import Image

from focal_star.mini import digits_in_scenes
from tests.docs import warm

ROOT = Path(__file__).resolve().parents[2]
COPIED = (
    "ablations", "docs", "install", "projects", "reports", "tests/focal_star/losses/test_losses.py",
    "CHANGELOG.md", "Makefile", "README.md", "pyproject.toml",
)  # fmt: skip
OF_MAKE = ("MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS")

ONE = "output/one"
"""The folder of the first single training run in the pages."""

GRIDS = ("headline",)
"""The grids of the study, instead of all."""

SHORT = {
    "IMS_PER_BATCH: 8": "IMS_PER_BATCH: 2",
    "WARMUP_ITERS: 240": "WARMUP_ITERS: 1",
    "MAX_ITER: 3000  # 1x": "MAX_ITER: 8",
    "PRETRAINING:\n  ENABLED: True\n": (
        "PRETRAINING:\n  ENABLED: True\n  MAX_ITER: 2\n  IMS_PER_BATCH: 8\n"
    ),
    "TEST:\n": "TEST:\n  BOOTSTRAP_RESAMPLES: 20\n",
    "LOSS_PERIOD: 500": "LOSS_PERIOD: 0",
    "LOSS_DISTRIBUTION_IMAGES: 128": "LOSS_DISTRIBUTION_IMAGES: 2",
}
"""Text of the mini study's config -> its replacement in the copy."""


@dataclass(frozen=True)
class Ran:
    """The result of a command.

    Attributes:
        code: its exit code.
        text: what it printed.
        report: the mini study's ``report.md`` at that time.
    """

    code: int
    text: str
    report: str


class Checkout:
    """The copy.

    Attributes:
        root: its folder, where the commands are run.
    """

    def __init__(self, root: Path):
        self.root = root
        self._ran: dict[str, Ran] = {}
        self._short = Path(tempfile.mkdtemp())  # a socket's path is short
        leave_out = shutil.ignore_patterns("__pycache__", "published", "*.egg-info")
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=leave_out)
            else:
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, root / name)
        self._shorten()
        self._make_environment()
        self._write_named_inputs()

    def run(self, command: str) -> Ran:
        """Run a command with bash in the copy's root; a repeated command is not run again.

        ``OUTPUT_DIR`` is the folder of the training run in ``docs/first_run.md``.
        """
        if command not in self._ran:
            ran = subprocess.run(
                ["bash", "-c", f". .venv/bin/activate\n{command}"],
                cwd=self.root,
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            report = self.root / "output" / "mini" / "report" / "report.md"
            text = report.read_text(encoding="utf-8") if report.is_file() else ""
            self._ran[command] = Ran(ran.returncode, ran.stdout, text)
        return self._ran[command]

    def _environment(self) -> dict[str, str]:
        variables = re.findall(r"^([A-Z_]+) ", (ROOT / "Makefile").read_text(), re.MULTILINE)
        left_out = {*variables, *OF_MAKE}
        paths = (str(self.root / "projects" / "focal_star"), str(self.root))
        own = {
            "MPLBACKEND": "agg", "OMP_NUM_THREADS": "1", "OUTPUT_DIR": ONE,
            "PYTHONPATH": os.pathsep.join(paths), "WANDB_MODE": "disabled",
        }  # fmt: skip
        return {k: v for k, v in os.environ.items() if k not in left_out} | own

    def put_checkpoints(self) -> None:
        """Copy the checkpoints that commands name from the training run ``ONE``."""
        for name in ("a.pth", "b.pth", "A.pth", "B.pth", "model_final.pth"):
            shutil.copy(self.root / ONE / "model_final.pth", self.root / name)
        shutil.copy(self.root / ONE / "config.yaml", self.root)

    def _shorten(self) -> None:
        config = self.root / "projects/focal_star/configs/mini/retinanet_R_18_FPN.yaml"
        text = config.read_text(encoding="utf-8")
        for old, new in SHORT.items():
            assert text.count(old) == 1, f"{config.name} has no single {old!r}"
            text = text.replace(old, new)
        config.write_text(text, encoding="utf-8")

        module = self.root / "projects/focal_star/focal_star/frozen/settings.py"
        text = module.read_text(encoding="utf-8")
        text, changed = re.subn(r"^(EPOCHS|MIN_ITERATIONS) = \d+", r"\1 = 2", text, flags=re.M)
        assert changed == 2
        module.write_text(text, encoding="utf-8")

        module = self.root / "ablations/runner/speed.py"
        text = module.read_text(encoding="utf-8")
        text, changed = re.subn(r"^(MIN_|WARMUP_|)IMAGES = \d+", r"\1IMAGES = 2", text, flags=re.M)
        assert changed == 3
        text, changed = re.subn("(MIN_ROUNDS, MAX_ROUNDS) = 10, 40", r"\1 = 10, 10", text)
        assert changed == 1
        text, changed = re.subn("MAX_ATTEMPTS = 3", "MAX_ATTEMPTS = 1", text)
        assert changed == 1
        module.write_text(text, encoding="utf-8")

        module = self.root / "projects/focal_star/focal_star/mini/digits_in_scenes.py"
        text = module.read_text(encoding="utf-8")
        text, changed = re.subn(r"(num_train: int|num_val: int) = \d+", r"\1 = 8", text)
        assert changed == 2
        text, changed = re.subn(r"(num_objects: .*) = \(0, 2\)", r"\1 = (1, 4)", text)
        assert changed == 1
        module.write_text(text, encoding="utf-8")

        for path in (self.root / "ablations" / "grids").iterdir():
            _keep_few_rows(path)
        for path in (self.root / "ablations" / "studies").iterdir():
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
            content |= {"grids": list(GRIDS), "more_seeds": {}, "fresh_seeds": 2}
            path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    def _make_environment(self) -> None:
        """A ``.venv`` whose Python is the warm one of the tests and imports from the copy."""
        folder = self.root / ".venv" / "bin"
        folder.mkdir(parents=True)
        python, address = folder / "python", self._short / "socket"
        python.write_text(warm.CLIENT.format(python=sys.executable, socket=str(address)))
        python.chmod(0o755)
        (folder / "activate").write_text('PATH="$PWD/.venv/bin:$PATH"\n')
        # What `make setup` does has tests of its own (tests/install).
        (self.root / "install" / "__main__.py").write_text("")
        with (self.root / "warm.log").open("w") as log:
            self._server = subprocess.Popen(
                [sys.executable, warm.__file__, "serve", str(address), str(python)],
                cwd=self.root, env=self._environment(), stdout=log, stderr=log,
            )  # fmt: skip
        while not address.exists():
            assert self._server.poll() is None, (self.root / "warm.log").read_text()
            time.sleep(0.05)

    def close(self) -> None:
        """End the warm Python."""
        self._server.terminate()
        self._server.wait()
        shutil.rmtree(self._short)

    def _write_named_inputs(self) -> None:
        digits_in_scenes.write(
            self.root / "path" / "to" / "folder",
            digits_in_scenes.Recipe(num_train=8, num_val=4, num_objects=(1, 4)),
        )
        photographs = self.root / "path" / "to" / "photographs"
        photographs.mkdir()
        for image in sorted((self.root / "path/to/folder/images").iterdir())[:1]:
            shutil.copy(image, photographs)
        _write_voc(self.root / "path/to/VOCdevkit/VOC2012", self.root / "path/to/folder/images")
        (self.root / "PHOTOGRAPHS").symlink_to("path/to/photographs")
        (self.root / "FOLDER").symlink_to("path/to/folder")


def _keep_few_rows(path: Path) -> None:
    """Keep only the first row and the reference row of a grid's file, unchanged."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    wanted, common = content.get("reference"), content.get("common", {})
    rows = [common | row for row in content["rows"]]
    fitting = [i for i, row in enumerate(rows) if wanted and wanted.items() <= row.items()]
    before, after = path.read_text(encoding="utf-8").split("rows:\n")
    lines = [line for line in after.splitlines(keepends=True) if line.startswith("  - ")]
    assert len(lines) == len(rows), path
    path.write_text(
        before + "rows:\n" + "".join(lines[i] for i in sorted({0, *fitting})), encoding="utf-8"
    )


def _write_voc(folder: Path, images: Path) -> None:
    """Two images to train on and one to test on, with one object per image."""
    for part in ("Annotations", "ImageSets/Main", "JPEGImages"):
        (folder / part).mkdir(parents=True)
    names = {"train": ("a", "b"), "val": ("c",)}
    sources = iter(sorted(images.iterdir()))
    for split, of_split in names.items():
        listed = "".join(f"{name}\n" for name in of_split)
        (folder / "ImageSets" / "Main" / f"{split}.txt").write_text(listed)
        for name in of_split:
            with Image.open(next(sources)) as image:
                image.convert("RGB").save(folder / "JPEGImages" / f"{name}.jpg")
                width, height = image.size
            (folder / "Annotations" / f"{name}.xml").write_text(
                f"<annotation><filename>{name}.jpg</filename><size><width>{width}</width>"
                f"<height>{height}</height><depth>3</depth></size><object><name>dog</name>"
                "<difficult>0</difficult><bndbox><xmin>5</xmin><ymin>6</ymin><xmax>40</xmax>"
                "<ymax>50</ymax></bndbox></object></annotation>"
            )
