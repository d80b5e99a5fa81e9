"""Turns a study's records into tables, figures and pages. Imports neither torch nor detectron2."""
