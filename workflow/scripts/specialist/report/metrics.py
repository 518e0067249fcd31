"""Names and units of the paper's measures, for axes and tables."""

from typing import NamedTuple

from specialist.report.numbers import number


class Metric(NamedTuple):
    """How a measure is shown: its words, its unit, and what it is multiplied by for that."""

    words: str
    unit: str = ""
    scale: float = 1

    @property
    def title(self):
        """Words and unit, for an axis or the head of a column."""
        return f"{self.words}, {self.unit}" if self.unit else self.words

    def text(self, value):
        """A value of the measure as a number in its unit."""
        if value is None or value != value:
            return number(value)
        shown = self.scale * value
        return f"{shown:.1f}" if self.unit in ("%", "points") else number(shown)


METRICS = {
    "bytes": Metric("file size", "MB", 1e-6),
    "bits_per_weight": Metric("bits per weight"),
    "resident_mb": Metric("memory in use", "MB"),
    "tokens_per_second": Metric("generation", "tokens per second"),
    "prompt_tokens_per_second": Metric("reading of the prompt", "tokens per second"),
    "success_rate": Metric("tasks solved", "%", 100),
    "success_against_F16": Metric("tasks solved, compared with F16", "points", 100),
    "perplexity": Metric("perplexity of held-out text"),
    "kl_mean": Metric("KL to F16", "nats per token"),
    "same_top_token": Metric("same most probable token", "%", 100),
    "held_out_loss": Metric("held-out loss", "nats per token"),
    "gap": Metric("held-out minus training", "nats per token"),
    "forgotten": Metric("pretraining forgotten", "bits per byte"),
    "trainable_share": Metric("parameters trained", "%", 100),
    "peak_memory_mb": Metric("peak memory of training", "MB"),
    "training_seconds": Metric("time of training", "s"),
    "recall_at_1": Metric("right article is first", "%", 100),
    "recall_at_3": Metric("right article among the first three", "%", 100),
    "mrr": Metric("mean reciprocal rank"),
    "bits_per_byte": Metric("bits per byte"),
}
# What the cells of an experiment are.
CELLS = {
    "rank": "rank of the adapter",
    "learning_rate": "learning rate",
    "examples": "training conversations",
    "batch": "batch size x accumulation",
    "method": "method of training",
    "quantization": "type",
    "scale": "shape and type",
    "stack": "system",
    "retrieval": "search",
    "pretraining": "text",
    "benchmark": "text",
}


def metric(name):
    """The `Metric` of a name; one of another name has no unit."""
    return METRICS.get(name) or Metric(name.replace("_", " "))


def cells(experiment):
    """What the cells of an experiment are, in words."""
    return CELLS.get(experiment, experiment.replace("_", " "))
