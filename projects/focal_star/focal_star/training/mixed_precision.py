"""Training in mixed precision, on a GPU and on a CPU.

``SOLVER.AMP.ENABLED`` is Detectron2's key. Its own loop trains only on a GPU, and does not unscale
the gradient before the optimizer step. An optimizer that unscales by itself, as AdamW here, would
then clip the scaled gradient, which is tens of thousands of times as large.
"""

import time
from typing import Any

import torch
from detectron2.engine import AMPTrainer, SimpleTrainer

NARROW_TYPES = {"cuda": torch.float16, "cpu": torch.bfloat16}
"""Type of a device -> dtype of the convolutions. float16 is Detectron2's on a GPU."""


class MixedPrecisionLoop(AMPTrainer):
    """Runs the network in a narrow dtype under autocast, weights and losses in float32.

    float16 has a short range: the loss is scaled to keep its gradient within the range, the
    gradient is unscaled before it is used, and a step whose gradient overflows is skipped. bfloat16
    needs no scaling.
    """

    def __init__(
        self,
        loop: SimpleTrainer,
        device: torch.device | str,
        dtype: torch.dtype | None = None,
        **scaling: Any,
    ):
        """
        Args:
            loop: the loop of full precision, with model, batches and optimizer.
            device: the device of the model.
            dtype: the narrow dtype; None for the one in ``NARROW_TYPES``.
            scaling: further arguments of torch's ``GradScaler``.
        """
        self._device_type = torch.device(device).type
        self._dtype = dtype or NARROW_TYPES[self._device_type]
        is_scaled = self._dtype == torch.float16
        scaler = torch.amp.GradScaler(self._device_type, enabled=is_scaled, **scaling)
        super().__init__(loop.model, loop.data_loader, loop.optimizer, grad_scaler=scaler)

    def run_step(self) -> None:
        start = time.perf_counter()
        batch = next(self._data_loader_iter)
        data_seconds = time.perf_counter() - start
        with torch.autocast(self._device_type, dtype=self._dtype):
            losses = self.model(batch)
            total = sum(losses.values())
        self.optimizer.zero_grad()
        self.grad_scaler.scale(total).backward()
        self.grad_scaler.unscale_(self.optimizer)
        self._write_metrics(losses, data_seconds)
        self.grad_scaler.step(self.optimizer)
        self.grad_scaler.update()
