"""All that exists so that the embedded study is quick, or needs no download.

The data set ``digits_in_scenes``, a pretraining on its crops, ResNets of any width, and detectors
that train in less time where images are small and a part of the backbone is frozen. A config asks
for them by their names, as for parts of Detectron2. The rest of the package imports nothing of
this one, but for :mod:`focal_star.extensions`, and trains without it.
"""
