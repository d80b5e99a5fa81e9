"""The schedule for a number of processes, and whether it ever reaches its learning rate."""

import torch
from detectron2.config import CfgNode
from detectron2.engine import DefaultTrainer
from detectron2.solver import build_lr_scheduler


def scaled_to(cfg: CfgNode, processes: int) -> CfgNode:
    """The config as a training in so many processes has it, by ``SOLVER.REFERENCE_WORLD_SIZE``.

    Detectron2 scales its own keys, to which this adds ``TEST.LOSS_PERIOD``.
    """
    scaled = DefaultTrainer.auto_scale_workers(cfg, processes)
    if scaled is cfg or not cfg.TEST.LOSS_PERIOD:
        return scaled
    scale = processes / cfg.SOLVER.REFERENCE_WORLD_SIZE
    scaled.defrost()
    scaled.TEST.LOSS_PERIOD = max(1, round(cfg.TEST.LOSS_PERIOD / scale))
    if cfg.is_frozen():
        scaled.freeze()
    return scaled


def schedule_warnings(cfg: CfgNode) -> list[str]:
    """Return one warning for each part of ``SOLVER`` that takes no effect within ``MAX_ITER``."""
    options, warnings = cfg.SOLVER, []
    # With a cosine, the rate is already low after a warm-up of half the training.
    if 0 < options.MAX_ITER <= 2 * options.WARMUP_ITERS:
        rate = _highest_rate(cfg)
        if options.MAX_ITER <= options.WARMUP_ITERS or rate < options.BASE_LR / 2:
            warnings.append(
                f"SOLVER.MAX_ITER is {options.MAX_ITER}, and SOLVER.WARMUP_ITERS is "
                f"{options.WARMUP_ITERS}: the training ends in its warm-up or soon after it. Its "
                f"learning rate is at most {rate:.3g}, where SOLVER.BASE_LR is "
                f"{options.BASE_LR:g}; to reach that, add: SOLVER.WARMUP_ITERS 0, or a larger "
                "SOLVER.MAX_ITER"
            )
    late = [step for step in options.STEPS if step > options.MAX_ITER]
    if late and options.LR_SCHEDULER_NAME == "WarmupMultiStepLR":
        warnings.append(
            f"SOLVER.STEPS has {', '.join(map(str, late))}, and SOLVER.MAX_ITER is "
            f"{options.MAX_ITER}: the learning rate is not lowered there"
        )
    return warnings


def _highest_rate(cfg: CfgNode) -> float:
    """The highest learning rate of the iterations that are trained."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    scheduler = build_lr_scheduler(cfg, optimizer)
    rates = []
    for _ in range(cfg.SOLVER.MAX_ITER):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return max(rates)
