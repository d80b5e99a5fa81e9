"""Everything that exists only so that the embedded study is fast, or needs no download.

The data set ``digits_in_scenes``, a pretraining on its crops, and ResNets of any width with a cache
of their features; the detectors are in :mod:`focal_star.cached`. A config adds them by
``EXTENSIONS: [mini]`` (:mod:`focal_star.mini.extension`). The rest of the package does not import
this one, and trains without it.
"""
