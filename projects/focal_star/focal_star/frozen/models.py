"""RetinaNet that trains on stored views."""

from typing import Any

import torch
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import ImageList

from focal_star.cached.models import CachedRetinaNet
from focal_star.frozen.store import FEATURES, maps_of
from focal_star.modeling.efficientnet_lite import StoredMaps

DETECTRON2_NAMES = {"StoredViewsRetinaNet": "RetinaNet"}
"""Model here -> Detectron2's own one, which detects the same."""


@META_ARCH_REGISTRY.register()
class StoredViewsRetinaNet(CachedRetinaNet):
    """CachedRetinaNet that also takes rows of :mod:`focal_star.frozen.store` for pixels."""

    def preprocess_image(self, batched_inputs: list[dict[str, Any]]) -> ImageList:
        """Detectron2's images of a batch, or stored views in their place."""
        if not all(FEATURES in image for image in batched_inputs):
            return super().preprocess_image(batched_inputs)
        rows = torch.stack([image[FEATURES] for image in batched_inputs]).to(self.device)
        sizes = [image["instances"].image_size for image in batched_inputs]
        return ImageList(StoredMaps(maps_of(rows, sizes[0])), sizes)
