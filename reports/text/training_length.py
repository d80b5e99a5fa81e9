"""Writes sentences about the order of settings over the length of their training."""

import math

from ablations.study.study import schedule_name
from reports.results.labels import MAIN_METRIC
from reports.results.load import Results
from reports.statistics.schedules import Order, agreements, order, scheduled
from reports.text.sentences import listed, signed


def settled(results: Results) -> list[str]:
    """A sentence for each table that varies the schedule and has two settings at two schedules."""
    orders = {grid.label: order(results, grid) for grid in scheduled(results)}
    return [_settled(name, of_table) for name, of_table in orders.items() if of_table is not None]


def taus(results: Results) -> str:
    """Kendall's tau-b of each table over the schedule; "" if no table has several schedules."""
    parts = []
    for name, agreement in agreements(results).items():
        values = [
            f"{'undefined' if math.isnan(tau) else signed(tau)} at {schedule_name(at)}"
            for at, tau in zip(agreement.schedules, agreement.taus, strict=True)
        ]
        parts.append(f"table {name} ({agreement.rows} rows): {listed(values)}")
    if not parts:
        return ""
    return (
        "The rank correlation with the published AP over the schedule (Kendall's τ-b, for the "
        f"rows that have a value at every schedule) is: {'; '.join(parts)}."
    )


def _settled(name: str, order: Order) -> str:
    first, longest = schedule_name(order.schedules[0]), schedule_name(order.schedules[-1])
    rows = f"the order of the {order.settings} settings of table {name}"
    noise = (
        "Every swap counts, since the spread between seeds is unknown."
        if math.isnan(order.noise)
        else f"A swap counts if it is larger than the noise, {order.noise:.1f} {MAIN_METRIC}."
    )
    if not order.swapped:
        beyond = "" if math.isnan(order.noise) else " beyond the noise"
        return f"From {first} to {longest}, {rows} does not change{beyond}. {noise}"
    swapped = "; ".join(f"{one} ↔ {other}" for one, other in order.swapped)
    before = f"at {schedule_name(order.before)} it differs from the order at {longest} ({swapped})"
    if order.settled == order.schedules[-1]:
        return f"Up to the longest schedule, {rows} still changes: {before}. {noise}"
    settled = schedule_name(order.settled)
    return f"From {settled} on, {rows} no longer changes: {before}. {noise}"
