"""Plots as reproducible SVG, for light and dark backgrounds."""


def write_svg(figure, path):
    """Write a figure; black becomes the colour of the surrounding text.

    Args:
        figure: of matplotlib.
        path: SVG to write. Its stem goes into its ids, which do not change from run to run.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None}, transparent=True)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("#000000", "currentColor"), encoding="utf-8")
