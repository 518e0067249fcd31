"""Panels of plots, and the axis of cells that are numbers or categories."""


def make_panels(count, columns, size):
    """A figure with panels in rows.

    Args:
        count: number of panels.
        columns: panels in a row.
        size: (width, height) of a panel, in inches.

    Returns:
        (figure, list of the panels' axes).
    """
    import math

    from matplotlib.figure import Figure

    rows = math.ceil(count / columns)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    found = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in found[count:]:
        axes.set_visible(False)
    return figure, found


def tidy(axes, grid):
    """Leave out two sides of a panel's frame, and draw a grid along "x" or "y"."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color="#000000", alpha=0.12, lw=0.6)


def as_numbers(cells):
    """Cells as numbers for a logarithmic scale; None if some cells do not fit on it."""
    try:
        found = [float(cell) for cell in cells]
    except ValueError:
        return None
    return found if min(found) > 0 else None
