"""Formats times and sizes."""


def duration(seconds: float) -> str:
    """For example ``38 s``, ``4 min 05 s``, ``3 h 20 min`` or ``12 d 04 h``."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 48 * 60:
        return f"{minutes // 1440} d {minutes % 1440 // 60:02d} h"
    if minutes >= 120:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def megabytes(number: float) -> str:
    """For example ``15 MB`` or ``2.4 GB``."""
    return f"{number / 1e6:.0f} MB" if number < 2e9 else f"{number / 1e9:.1f} GB"
