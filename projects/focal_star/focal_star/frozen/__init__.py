"""Trains a detector on stored features of a frozen backbone, with weights from ImageNet.

Training on a few hundred photographs takes minutes on one core. A config adds this by
``EXTENSIONS: [frozen]`` (:mod:`focal_star.frozen.extension`). The rest of the package does not
import it.
"""
