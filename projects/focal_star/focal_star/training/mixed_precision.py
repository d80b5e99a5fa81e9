"""Training in mixed precision, on a GPU and on a CPU.

``SOLVER.AMP.ENABLED`` is Detectron2's key. Its own loop trains on a GPU alone, and does not
unscale the gradient before it is looked at: an optimizer that can itself unscale, as AdamW here,
would have its gradient clipped as if it were tens of thousands of times as large.
"""

import time
from typing import Any

import torch
from detectron2.engine import AMPTrainer, SimpleTrainer

NARROW_TYPES = {"cuda": torch.float16, "cpu": torch.bfloat16}
"""Type of a device -> what convolutions compute in. float16 is Detectron2's on a GPU."""


class MixedPrecisionLoop(AMPTrainer):
    """The network in a narrow type where autocast has it so, weights and losses in float32.

    float16 has a short range: the loss is scaled so that its gradient stays within, the gradient
    scaled back before anything looks at it, and a step whose gradient has left the range is left
    out. bfloat16 needs nothing of that.
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
            loop: that of full precision, whose model, batches and optimizer are used.
            device: of the model.
            dtype: the narrow type; None for that of ``NARROW_TYPES``.
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
