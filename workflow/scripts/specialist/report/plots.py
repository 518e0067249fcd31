"""Plots as SVG that looks the same in each run, on light as on dark ground."""


def write_svg(figure, path):
    """Write a figure; what is black in it takes the colour of the text around it.

    Args:
        figure: of matplotlib.
        path: SVG to write. Its stem goes into its ids, which do not change from run to run.
    """
    import matplotlib

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None}, transparent=True)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("#000000", "currentColor"), encoding="utf-8")
