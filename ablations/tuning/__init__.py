"""Chooses the settings of tuned rows: AP on halves of the images, and the choice among settings."""
