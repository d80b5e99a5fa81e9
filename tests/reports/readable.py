"""Whether a drawn figure can be read: measured, not looked at."""

import itertools

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from reports.plots import drawing

MIN_FONT_SIZE = 9
"""The size of the smallest text, in points."""


def texts_of(figure: Figure) -> list[Text]:
    """The texts of a figure that a reader sees."""
    unseen = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            for tick in axis.get_major_ticks():
                # A tick outside of the limits has labels that are not drawn.
                if not (low <= tick.get_loc() <= high and axes.axison):
                    unseen |= {tick.label1, tick.label2}
            if not axes.axison:
                unseen.add(axis.label)
    return [
        text
        for text in figure.findobj(Text)
        if text not in unseen
        and text.get_visible()
        and text.get_text().strip()
        and (text.axes is None or text.axes.get_visible())
    ]


def assert_readable(figure: Figure) -> None:
    """Fonts are large enough, and no text lies on another or over the edge of the PNG."""
    drawing.settle(figure)
    figure.dpi = drawing.PNG_DPI
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    texts = texts_of(figure)
    assert texts
    assert min(text.get_fontsize() for text in texts) >= MIN_FONT_SIZE
    boxes = [(text.get_text(), text.get_window_extent(renderer)) for text in texts]
    for (first, a), (second, b) in itertools.combinations(boxes, 2):
        assert not a.overlaps(b), f"{first!r} lies on {second!r}"
    width, height = canvas.get_width_height()
    for text, box in boxes:
        inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
        assert inside, f"{text!r} is cut off: {box} of {width} x {height}"
