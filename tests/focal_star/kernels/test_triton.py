"""The Triton kernel, run by Triton's interpreter, or on a GPU where one is."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch

from focal_star.kernels import FUSED, fused_or_none
from focal_star.losses import focal_loss

ROOT = Path(__file__).resolve().parents[3]
OPTIONS = {"alpha": 0.25, "gamma": 2.0}


def run(**environment: str) -> None:
    pytest.importorskip("triton", reason="there is no Triton for this system")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", str(Path(__file__).with_name("interpreted.py"))],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout and "skipped" not in done.stdout


@pytest.mark.slow
def test_in_the_interpreter():
    run(TRITON_INTERPRET="1")


@pytest.mark.slow
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    run()


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", FUSED)
def test_it_compiles_for_a_gpu_that_need_not_be_there(name, dtype):
    pytest.importorskip("triton", reason="there is no Triton for this system")
    from triton import compile as compile_
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from focal_star.kernels.triton import ENTRIES, _kernel

    constants = {"NUM_CLASSES": 80, "LOSS": name, "CAPPED": True, "SQUARED": False}
    constants |= {"WITH_GRADIENT": True, "ENTRIES": ENTRIES}
    types = dict.fromkeys(_kernel.arg_names, "fp32") | dict.fromkeys(constants, "constexpr")
    types |= {"logits": f"*{dtype}", "labels": "*i64", "sums": "*fp32", "scale": "*fp32"}
    types["num_entries"] = "i32"
    types["gradient"] = "*bf16" if dtype == "bf16" else "*fp32"
    places = {(_kernel.arg_names.index(key),): value for key, value in constants.items()}
    source = ASTSource(fn=_kernel, signature=types, constexprs=places)
    assert "cubin" in compile_(source, target=GPUTarget("cuda", 90, 32)).asm


def test_without_a_gpu_the_eager_form_is_used(caplog):
    loss = partial(focal_loss, reduction="sum", **OPTIONS)
    chosen = fused_or_none("focal", loss, kernel="triton", device="cpu", **OPTIONS)
    assert "form" not in chosen.keywords
    assert "KERNEL triton cannot be used here, eager is instead" in caplog.text
