"""Reads and writes files that may be broken, hostile, large or cut short."""
