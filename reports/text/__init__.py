"""Sentences, made from numbers."""
