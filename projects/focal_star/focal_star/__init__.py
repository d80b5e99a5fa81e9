"""FL*, the modified focal loss, and the RetinaNet that trains with it.

The submodules are imported by name (``focal_star.losses`` needs only torch), so this file
imports none of them.
"""

import logging
import warnings

__version__ = "0.2.0"

# What Detectron2 0.5 causes in newer versions of torch, partly while it is imported: a user can do
# nothing about these messages.
for _category, _module, _message in (
    (FutureWarning, r"torch\.jit\._script", "`torch.jit.script` is deprecated"),
    (UserWarning, r"torch\.functional", "torch.meshgrid: in an upcoming release"),
    (UserWarning, r"detectron2\.structures\.boxes", "Creating a tensor from a list of numpy"),
):
    warnings.filterwarnings("ignore", _message, _category, _module)
logging.getLogger("torch.utils.cpp_extension").addFilter(
    lambda record: not record.getMessage().startswith("No CUDA runtime is found")
)
