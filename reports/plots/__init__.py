"""Plots: functions of numbers that return matplotlib Axes."""

from reports.plots.ablation_map import (
    RING,
    Frame,
    Keys,
    MapPanel,
    Mark,
    ablation_map,
    entries,
    frame_of,
    map_key,
    map_panel,
)
from reports.plots.curves import Curve, SpeedPanel, ap_over_ms, ap_over_scale, over_schedule
from reports.plots.detections import (
    ErrorBars,
    Reliability,
    error_types,
    miss_rate,
    precision_recall,
    reliability,
)
from reports.plots.forest import Effect, forest
from reports.plots.heat_maps import HeatMap, heat_maps
from reports.plots.losses import Line, cumulative_loss, loss_over_p_t
from reports.plots.rows import Dots, ap_over_rows
from reports.plots.training import Panel, Trace, training_curves
from reports.plots.tuning import Budget, ap_over_budget

__all__ = [
    "RING",
    "Budget",
    "Curve",
    "Dots",
    "Effect",
    "ErrorBars",
    "Frame",
    "HeatMap",
    "Keys",
    "Line",
    "MapPanel",
    "Mark",
    "Panel",
    "Reliability",
    "SpeedPanel",
    "Trace",
    "ablation_map",
    "ap_over_budget",
    "ap_over_ms",
    "ap_over_rows",
    "ap_over_scale",
    "cumulative_loss",
    "entries",
    "error_types",
    "forest",
    "frame_of",
    "heat_maps",
    "loss_over_p_t",
    "map_key",
    "map_panel",
    "miss_rate",
    "over_schedule",
    "precision_recall",
    "reliability",
    "training_curves",
]
