"""The records of a study as the report uses them."""
