"""Plans and runs the cells of a study. Imports neither torch nor pandas."""
