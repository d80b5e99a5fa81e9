"""What differs between Detectron2 0.5 and its current main branch."""

from detectron2.modeling import RetinaNet

INITIAL_NORMALIZER = 100.0
MOMENTUM = 0.9


def update_loss_normalizer(model: RetinaNet, num_pos_anchors: int) -> float:
    """Update and return the running number of positive anchors that RetinaNet divides by.

    It is ``model.loss_normalizer`` in both; Detectron2 0.5 sets the attribute when the model is
    built, main at the first update.
    """
    old = getattr(model, "loss_normalizer", INITIAL_NORMALIZER)
    model.loss_normalizer = MOMENTUM * old + (1 - MOMENTUM) * max(num_pos_anchors, 1)
    return model.loss_normalizer
