"""Everything that exists only so that the embedded study is fast, or needs no download.

The data set ``digits_in_scenes``, a pretraining on its crops, ResNets of any width, and detectors
that train in less time if images are small and a part of the backbone is frozen. A config adds
them by ``EXTENSIONS: [mini]`` (:mod:`focal_star.mini.extension`). The rest of the package does not
import this one, and trains without it.
"""
