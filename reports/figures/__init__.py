"""The figures of a report, drawn from records."""

from reports.figures.ablation_map import AblationMap, ablation_map
from reports.figures.detections import (
    error_types,
    miss_rate,
    precision_recall,
    reliability,
)
from reports.figures.forest import forest
from reports.figures.grids import ap_over_ms, ap_over_rows
from reports.figures.illustration import Illustrated, Illustration
from reports.figures.losses import cumulative_loss, loss_over_p_t
from reports.figures.schedules import ap_over_schedule, tau_over_schedule
from reports.figures.studies import ap_over_scale, heat_maps, speed
from reports.figures.training import training_curves
from reports.figures.tuning import ap_over_budget

__all__ = [
    "AblationMap",
    "Illustrated",
    "Illustration",
    "ablation_map",
    "ap_over_budget",
    "ap_over_ms",
    "ap_over_rows",
    "ap_over_scale",
    "ap_over_schedule",
    "cumulative_loss",
    "error_types",
    "forest",
    "heat_maps",
    "loss_over_p_t",
    "miss_rate",
    "precision_recall",
    "reliability",
    "speed",
    "tau_over_schedule",
    "training_curves",
]
