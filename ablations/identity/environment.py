"""Environment variables of the processes that train."""

import os

KEPT_MEMORY = ":".join(
    f"glibc.malloc.{name}={size}"
    for name, size in {"mmap_threshold": 2**30, "trim_threshold": 2**30, "top_pad": 2**26}.items()
)
"""For glibc to keep the memory that a training frees, sizes in bytes. It would give it back to the
system and take it again, hundreds of pages in every iteration, which makes a short one a twelfth
slower."""


def memory() -> dict[str, str]:
    """Of a training on the CPU; what the user has set stays."""
    return {"GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", KEPT_MEMORY)}


def threads(number: int) -> dict[str, str]:
    """Of a training with so many CPU threads; it is decided when torch is imported."""
    return {"OMP_NUM_THREADS": str(number)}
