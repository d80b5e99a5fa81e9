"""Studies, grids and cells, from their YAML."""
