"""Environment variables of the processes that train."""

import os

KEPT_MEMORY = ":".join(
    f"glibc.malloc.{name}={size}"
    for name, size in {"mmap_threshold": 2**30, "trim_threshold": 2**30, "top_pad": 2**26}.items()
)
"""Makes glibc keep the memory that a training frees (sizes in bytes). By default, glibc returns
hundreds of pages to the system in every iteration and requests them again, which makes a short
iteration a twelfth slower."""


def memory() -> dict[str, str]:
    """The variables for a training; a value that the user has set is kept."""
    return {"GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", KEPT_MEMORY)}


def threads(number: int) -> dict[str, str]:
    """The variables for a training with this number of CPU threads; torch reads them at import."""
    return {"OMP_NUM_THREADS": str(number)}
