"""The writers of a training's metrics, whose state can be saved and resumed."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from detectron2.utils.events import JSONWriter, TensorboardXWriter

from focal_star.io.writing import write_whole

METRICS_FILE = "metrics.json"
EVENTS_PATTERN = "events.out.tfevents.*"


class MetricsWriter(JSONWriter):
    """Detectron2's writer of ``metrics.json``, with a state to resume from."""

    def __init__(self, folder: Path, state: dict | None = None):
        """
        Args:
            folder: the folder of the file.
            state: the result of :meth:`state_dict`, to resume from.
        """
        self._path = folder / METRICS_FILE
        if state is not None:
            write_whole(self._path, state["content"].encode())
        super().__init__(str(self._path))
        if state is not None:
            self._last_write = state["last_write"]

    def write(self) -> None:
        with naming(self._path):
            super().write()

    def close(self) -> None:
        with naming(self._path):
            super().close()

    def state_dict(self) -> dict:
        """The file's content, and the iteration of its last line (-1 without any)."""
        return {"content": self._path.read_text("utf-8"), "last_write": self._last_write}


class EventsWriter(TensorboardXWriter):
    """Detectron2's TensorBoard writer, flushed after each write."""

    def __init__(self, folder: Path, last_write: int = -1):
        """
        Args:
            folder: the folder of the event files.
            last_write: the last valid iteration; TensorBoard drops later values.
        """
        self._folder = folder
        purge = {} if last_write < 0 else {"purge_step": last_write + 1}
        super().__init__(str(folder), **purge)
        self._last_write = last_write

    def write(self) -> None:
        with naming(self._folder / EVENTS_PATTERN):
            super().write()
            self._writer.flush()

    def close(self) -> None:
        with naming(self._folder / EVENTS_PATTERN):
            super().close()


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Add the file's name to an OSError: one from a write or a flush has none."""
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:  # Pillow has some of its own
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
