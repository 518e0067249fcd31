"""Collects size, memory and speed of large models, with the machines of the measurements."""

import json
from statistics import median

HEAD = """\
| Shape | Type | GB | Bits per weight | GB in memory | Tokens/s | Speed of F16 | Prompt tokens/s |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |"""


def collect_scale(measures, machines, scale, table, *, shapes):
    """Write the measures as JSON and as Markdown; speeds are medians of the rounds.

    Args:
        measures, machines: JSON of measure_scale for each of `shapes`.
        scale: JSON to write: "shapes" and "machines", by the shapes' names.
        table: Markdown to write.
        shapes: their names.
    """
    found, places = (
        {name: json.loads(path.read_text()) for name, path in zip(shapes, paths, strict=True)}
        for paths in (measures, machines)
    )
    scale.write_text(json.dumps({"machines": places, "shapes": found}, indent=1) + "\n")
    table.write_text("".join(f"{line}\n" for line in _page(found, places)), encoding="utf-8")


def _page(shapes, machines):
    yield HEAD
    for shape, kinds in shapes.items():
        for kind, figures in kinds.items():
            speed = median(figures["tokens_per_second"])
            cells = [
                shape,
                kind,
                f"{figures['bytes'] / 1e9:.2f}",
                f"{figures['bits_per_weight']:.2f}",
                f"{figures['resident_mb'] / 1e3:.2f}",
                f"{speed:.2f}",
                f"{speed / median(kinds['F16']['tokens_per_second']):.2f} ×",
                f"{median(figures['prompt_tokens_per_second']):.1f}",
            ]
            yield f"| {' | '.join(cells)} |"
    yield ""
    for text in dict.fromkeys(map(_told, machines.values())):
        yield f"Measured on {text}."


def _told(machine):
    return (
        f"{machine['processor']}, {machine['cpus']} cores ({machine['threads']} used), "
        f"{machine['memory_gb']:.0f} GB of memory, {machine['system']}"
    )


if "snakemake" in globals():
    from specialist.engine.step import run

    run(collect_scale, snakemake)
