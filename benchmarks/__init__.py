"""The benchmarks of `make bench`: this project beside the implementations that it replaces."""
