"""The figures of a report, drawn from records."""
