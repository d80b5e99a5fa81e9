"""What the set-up downloads at a fixed version; everything else has its bounds in setup.py."""

# Matching pairs, the newest first, each with the oldest Python that it has wheels for: torchvision
# has operators that load only into a torch they were built for, while its metadata allows others.
# A pin also keeps pip from choosing a CPU-only build of another version where it is configured
# with an extra folder of wheels.
TORCH_PAIRS = (
    ((3, 11), {"torch": "2.15.0", "torchvision": "0.29.2"}),
    ((3, 10), {"torch": "2.14.1", "torchvision": "0.29.2"}),
)


def torch_pair(python: tuple[int, ...]) -> dict[str, str]:
    """The versions of torch and torchvision for a Python of this version."""
    return next(dict(pair) for oldest, pair in TORCH_PAIRS if python >= oldest)


# The Python sources of Detectron2 v0.5, unchanged. pip checks the hash before it runs any of it.
SDIST = "detectron2-cdo==0.5"
SDIST_SHA256 = "53c9e79e9cc943e80419c588ea44b5479507a8628ed14a4e06bd093e29311b18"

# Tools that fetch the sdist and build a wheel from it, in a temporary folder. The metadata of the
# sdist names a dependency by URL, which pip 26.3 refuses even to download; and the environment's
# setuptools may be missing or of any age.
BUILD_TOOLS = ("pip==25.3", "setuptools==80.9.0")
