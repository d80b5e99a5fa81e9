"""Ends a training whose loss or gradient is not finite, and saves evidence of the cause.

Detectron2 checks only the losses, and only on the main process, so the other processes hang in
their next step, and it saves nothing. Here every process checks the loss and the gradient before
the optimizer steps, all of them stop in the same iteration, and the main process saves evidence and
a checkpoint from which the iteration can be repeated.
"""

import json
import logging
import math
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import HookBase
from detectron2.engine.hooks import EvalHook
from detectron2.modeling import RetinaNet
from detectron2.utils import comm
from torch import Tensor, nn
from torch.nn import functional as F

from focal_star.evaluation.validation_images import matched
from focal_star.io.writing import write_whole
from focal_star.random_state import random_state, set_random_state
from focal_star.training import checkpoints
from focal_star.training.ranks import on_main_process

logger = logging.getLogger(__name__)

EVIDENCE_FILE = "divergence.json"
NUM_BINS = 20
"""Bins of the p_t histogram, of equal width over [0, 1]."""
MAX_NAMES = 5
"""Maximum number of non-finite parameters that are named."""


class Divergence(FloatingPointError):
    """The loss or the gradient is NaN or infinite.

    Attributes:
        evidence: a description for JSON, in which NaN and infinities are text.
    """

    def __init__(self, evidence: dict[str, Any]) -> None:
        self.evidence = evidence
        super().__init__(
            f"Loss or gradient became infinite or NaN at iteration={evidence['iteration']}: "
            + "; ".join(evidence["bad"])
        )

    def __reduce__(self):
        return Divergence, (self.evidence,)


class DivergenceGuard(HookBase):
    """Raises :class:`Divergence` on every process before a bad gradient reaches the weights.

    A good iteration costs one norm over all gradients and, on a GPU, one synchronisation.
    """

    def __init__(self, content: Mapping[str, Any] | None = None):
        """
        Args:
            content: added to the trainer's state in its checkpoint.
        """
        self._content = dict(content or {})

    def before_train(self) -> None:
        loop = self.trainer._trainer
        self._folder = Path(self.trainer.cfg.OUTPUT_DIR)
        self._model = self.trainer.checkpointer.model  # loop.model, or what that one wraps
        self._parameters = [p for group in loop.optimizer.param_groups for p in group["params"]]
        norms = (m for m in self._model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm))
        self._statistics = [buffer for norm in norms for buffer in norm.buffers()]
        # Called by Detectron2 between the backward pass and the optimizer's step.
        self._write_metrics = loop._write_metrics
        loop._write_metrics = self._check
        self._run_step = loop.run_step
        loop.run_step = self._step
        loop.model.register_forward_pre_hook(self._keep_batch)

    def before_step(self) -> None:
        # The parts of a checkpoint that the forward pass changes.
        statistics = [buffer.clone() for buffer in self._statistics]
        self._before = random_state(), getattr(self._model, "loss_normalizer", None), statistics

    def after_train(self) -> None:
        if comm.is_main_process() and self.trainer.iter == self.trainer.max_iter:
            # Resumed after a divergence that did not happen again.
            (self._folder / EVIDENCE_FILE).unlink(missing_ok=True)

    def _keep_batch(self, model: nn.Module, inputs: tuple) -> None:
        self._batch = inputs[0]

    def _check(self, losses: dict[str, Tensor], *args, **kwargs) -> None:
        gradients = [p.grad for p in self._parameters if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        values = torch.stack([loss.detach().to(norm) for loss in losses.values()] + [norm])
        bad = (~torch.isfinite(values)).int()
        if comm.get_world_size() > 1:
            torch.distributed.all_reduce(bad, torch.distributed.ReduceOp.MAX)
        *bad_losses, bad_gradient = bad.tolist()
        if any(bad_losses) or (bad_gradient and not self._scaler_skips()):
            self._end({name: loss.item() for name, loss in losses.items()}, norm.item())
        self.trainer._trainer.optimizer.gradient_norm = norm  # the optimizer clips by it
        self._write_metrics(losses, *args, **kwargs)

    def _step(self) -> None:
        """Run Detectron2's step, whose proposal network may raise an error before the loss.

        With several processes, a single one may raise it; its error then ends all processes.
        """
        try:
            self._run_step()
        except FloatingPointError as error:
            if isinstance(error, Divergence) or comm.get_world_size() > 1:
                raise
            self._end({"proposals": math.nan}, None)

    def _scaler_skips(self) -> bool:
        """Whether mixed precision multiplies the loss: it then skips such a step by itself."""
        scaler = getattr(self.trainer._trainer, "grad_scaler", None)
        return scaler is not None and scaler.is_enabled() and scaler.get_scale() > 1

    def _end(self, losses: dict[str, float], norm: float | None) -> None:
        """
        Args:
            losses: name -> loss.
            norm: the norm of the gradient, None where it was not computed.
        """
        parameters = list(self._model.named_parameters())[::-1]  # those next to the loss first
        amp = self.trainer.cfg.SOLVER.AMP.ENABLED
        with torch.autocast(self._model.device.type, enabled=amp):  # as the loss was computed
            is_dense = isinstance(self._model, RetinaNet)
            p_t = p_t_of_batch(self._model, self._batch) if is_dense else None
        seen = {
            "losses": losses,
            "gradient_norm": norm,
            "bad_gradients": _not_finite((n, p.grad) for n, p in parameters),
            "bad_weights": _not_finite(parameters),
            "images": [
                {"image_id": x.get("image_id"), "file_name": Path(x["file_name"]).name}
                for x in self._batch
            ],
            "p_t": p_t,
        }
        evidence = gathered(self.trainer.iter, comm.all_gather(seen))
        evidence["checkpoint"] = self._save_checkpoint()
        on_main_process(partial(self._write, evidence))
        # Otherwise Detectron2 would still evaluate after the last iteration.
        self.trainer._hooks = [h for h in self.trainer._hooks if not isinstance(h, EvalHook)]
        raise Divergence(evidence)

    def _save_checkpoint(self) -> str | None:
        """Write the state before the iteration; return its file's name, None at the beginning."""
        iteration = self.trainer.iter
        if iteration == 0:
            return None
        random, self._model.loss_normalizer, statistics = self._before
        set_random_state(random)
        for buffer, before in zip(self._statistics, statistics, strict=True):
            buffer.copy_(before)
        self.trainer.iter = self.trainer._trainer.iter = iteration - 1
        state = self.trainer.full_state() | self._content
        self.trainer.iter = self.trainer._trainer.iter = iteration

        def save() -> str:
            checkpoints.save_numbered(self._folder, iteration - 1, state)
            return checkpoints.numbered(self._folder)[-1].name

        return on_main_process(save)

    def _write(self, evidence: dict[str, Any]) -> None:
        path = self._folder / EVIDENCE_FILE
        write_whole(path, json.dumps(evidence, indent=1, allow_nan=False).encode())
        logger.error("See %s; to replay it: %s", path, replay_command(str(self._folder)))


def replay_command(output_dir: str = "$OUTPUT_DIR") -> str:
    """The command that repeats the bad iteration of the training in ``output_dir``.

    It resumes from the newest checkpoint, which is from before that iteration.
    """
    gpus = f" --num-gpus {comm.get_world_size()}" if comm.get_world_size() > 1 else ""
    return (
        "python projects/focal_star/train_net.py --resume"
        f" --config-file {output_dir}/config.yaml{gpus} OUTPUT_DIR {output_dir}"
    )


def gathered(iteration: int, seen: list[dict[str, Any]]) -> dict[str, Any]:
    """Combine the descriptions of all processes into one for JSON.

    Args:
        iteration: counted from 0.
        seen: for each process its ``losses`` (by name), ``gradient_norm``, ``bad_gradients`` and
            ``bad_weights`` (names of parameters), ``images`` and ``p_t``, None for a detector that
            is not dense.
    """
    return {
        "iteration": iteration,
        "bad": [
            text + (f" on rank {rank}" if len(seen) > 1 else "")
            for rank, of_rank in enumerate(seen)
            for text in _bad(of_rank["losses"], of_rank["gradient_norm"])
        ],
        "bad_gradients": _some(seen, "bad_gradients"),
        "bad_weights": _some(seen, "bad_weights"),
        "ranks": [
            {
                "losses": {name: _number(value) for name, value in of_rank["losses"].items()},
                "gradient_norm": _number(of_rank["gradient_norm"]),
                "images": of_rank["images"],
            }
            for of_rank in seen
        ],
        "p_t": None if seen[0]["p_t"] is None else _summed([of_rank["p_t"] for of_rank in seen]),
        "replay": replay_command(),
    }


@torch.no_grad()
def p_t_of_batch(model: RetinaNet, batch: list[dict[str, Any]]) -> dict[str, Any]:
    """The histogram of p_t over a batch, from one more forward pass of a RetinaNet.

    Only BatchNorm's running statistics change in the model, if it has any.

    Returns:
        What :func:`p_t_histogram` returns, over all images.
    """
    anchors = matched(model, batch)
    images = zip(torch.cat(anchors.pred_logits, dim=1), anchors.labels, strict=True)
    return _summed([p_t_histogram(*image, model.num_classes) for image in images])


def p_t_histogram(logits: Tensor, labels: Tensor, num_classes: int) -> dict[str, Any]:
    """Count the probabilities that are given to the true binary labels of R anchors, K classes.

    Args:
        logits: (R, K), float.
        labels: (R,), int: a class in 0..K-1, K for background, -1 to ignore.
        num_classes: K.

    Returns:
        ``bin_edges``; the counts ``positives`` and ``negatives``, pairs of anchor and class, by
        bin, p_t = 1 in the last; and how many of each are NaN, ``nan_positives`` and
        ``nan_negatives``.
    """
    valid = labels >= 0
    x = logits[valid].float()
    y = F.one_hot(labels[valid], num_classes + 1)[:, :-1].bool()
    p_t = torch.sigmoid(torch.where(y, x, -x))
    counts: dict[str, Any] = {"bin_edges": [i / NUM_BINS for i in range(NUM_BINS + 1)]}
    for name, values in (("positives", p_t[y]), ("negatives", p_t[~y])):
        numbers = values[~values.isnan()]
        bins = (numbers * NUM_BINS).long().clamp(max=NUM_BINS - 1)
        counts[name] = torch.bincount(bins, minlength=NUM_BINS).tolist()
        counts[f"nan_{name}"] = values.numel() - numbers.numel()
    return counts


def _summed(histograms: list[dict[str, Any]]) -> dict[str, Any]:
    first = histograms[0]
    return {
        "bin_edges": first["bin_edges"],
        **{
            name: [sum(counts) for counts in zip(*(h[name] for h in histograms), strict=True)]
            for name in ("positives", "negatives")
        },
        **{name: sum(h[name] for h in histograms) for name in ("nan_positives", "nan_negatives")},
    }


def _bad(losses: dict[str, float], gradient_norm: float | None) -> list[str]:
    """For example ``["loss_cls is nan", "gradient norm is inf"]``."""
    values = losses | ({} if gradient_norm is None else {"gradient norm": gradient_norm})
    return [f"{name} is {value}" for name, value in values.items() if not math.isfinite(value)]


def _not_finite(tensors: Iterable[tuple[str, Tensor | None]]) -> list[str]:
    return [name for name, x in tensors if x is not None and not torch.isfinite(x).all()]


def _some(seen: list[dict[str, Any]], key: str) -> dict[str, Any]:
    """How many parameters any process names there, and the first few."""
    names = list(dict.fromkeys(name for of_rank in seen for name in of_rank[key]))
    return {"count": len(names), "first": names[:MAX_NAMES]}


def _number(value: float | None) -> float | str | None:
    """JSON has no NaN and no infinity: they are text."""
    return value if value is None or math.isfinite(value) else str(value)
