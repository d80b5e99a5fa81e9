"""The page: what stands where, and its templates."""
