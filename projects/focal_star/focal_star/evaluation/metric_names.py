"""The names of the metrics of a result. It imports nothing: runner and report import it."""

AP_METRICS = ("AP", "AP50", "AP75", "APs", "APm", "APl")
"""COCOeval's first six numbers, percent in a result."""
