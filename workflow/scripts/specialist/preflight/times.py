"""Time of each job in absolute terms, for a scheduler that ends a job after the time it asked for.

`specialist.preflight.work` scales the time of a job that ran. A scheduler wants a time before
anything ran, on nodes that nobody measured. So the rates here are those of two slow virtual cores,
from the provenance of the default run and of a base of 135 million weights. The rate of a GPU is a
guess below what small GPUs reach.
"""

import math

from specialist.preflight.work import BESIDES

START = 60.0  # seconds until a step computes: Snakemake, imports, a cold file system
TRAINED = 5e9  # weights times tokens in a second of training, on one thread
TRAINED_ON_GPU = 3e12
GENERATED = 1e10  # weights times tokens in a second of generation, on one thread
MOST_THREADS = 4  # from which on generation gains nothing, as memory limits it
COPIED = 1e7  # weights in a second that are read, changed and written
FETCHED = 3e6  # weights in a second that are downloaded
TOKEN = 3.5  # bytes of text
ANSWER = 400  # tokens that the agent reads and writes for a message, searches included
READ = 5e5  # bytes in a second of text that is read, checked or tokenised
SIMULATED = {"documents": 0.004, "rows": 0.02, "tasks": 0.05}  # seconds each
SOUGHT = 0.15  # seconds of a search by vectors, words and a reranker
EMBEDDED = 5e4  # bytes in a second
IMPORTANCE = 60 * 400  # tokens that measure_importance reads
READ_GENERAL = 1000 / TOKEN / 4  # tokens for 1,000 bytes, counted as in MEASURED
MEASURED = 6000  # tokens that measure_gguf reads and writes, a read one counted as a quarter


class Times:
    """Seconds of a job.

    Args:
        config: the loaded configuration.
        gpu: whether training has one.
    """

    def __init__(self, config, gpu):
        self.config, self.gpu = config, gpu

    def seconds(self, rule, names, model, text, threads):
        """Expected seconds of a job, from the start of its process.

        Args:
            rule, names: of the job, and the values of its wildcards by their names.
            model: `specialist.preflight.architecture.Architecture` that the job works on, or None.
            text: `specialist.preflight.volumes.Volume` of its dataset.
            threads: of the job.
        """
        if rule in SIZED:
            weights = (model.parameters if model else 0) + BESIDES
            return START + SIZED[rule](self, names, weights, text, threads)
        return START + DATA.get(rule, _read)(text)

    def training(self, weights, tokens, threads):
        """Seconds of training on some tokens."""
        rate = TRAINED_ON_GPU if self.gpu else TRAINED * threads
        return weights * tokens / rate

    def _pretrain(self, names, weights, text, threads):
        tokens = self.config["bases"][names["base"]]["train_tokens"]
        return self.training(weights, tokens, threads)

    def _train_lora(self, names, weights, text, threads):
        entry = self.config["adapters"][names["adapter"]]
        tokens = text.sft / TOKEN / (1 - entry["mix_general"])
        if entry.get("examples"):
            tokens = min(tokens, entry["examples"] * entry["max_length"])
        return self.training(weights, tokens * entry["epochs"], threads)

    def _train_dpo(self, names, weights, text, threads):
        entry = self.config["adapters"][names["adapter"]]
        found = 2 * entry["dpo"]["episodes"] * entry["max_length"]
        tokens = 2 * text.preferences / TOKEN or found
        return self.training(weights, tokens * entry["dpo"]["epochs"], threads)

    def _collect(self, names, weights, text, threads):
        episodes = self.config["adapters"][names["adapter"]]["dpo"]["episodes"]
        return weights * episodes * ANSWER / GENERATED

    def _agent(self, names, weights, text, threads):
        system = self.config["systems"][names["system"]]
        share = min(1, system.get("tasks", math.inf) / max(1, text.tasks))
        turns = text.messages * share * system["trials"]
        return weights * turns * ANSWER / _generated(threads)


def _generated(threads):
    return GENERATED * min(threads, MOST_THREADS)


def _copied(times, names, weights, text, threads):
    return weights / COPIED


def _read(text):
    return text.bytes / READ


# Rule -> seconds by the size of its model.
SIZED = {
    "pretrain": Times._pretrain,
    "measure_pretraining": Times._pretrain,
    "continue_pretraining": Times._pretrain,
    "train_lora": Times._train_lora,
    "train_dpo": Times._train_dpo,
    "collect_preferences": Times._collect,
    "evaluate_adapter": Times._train_lora,
    "run_agent": Times._agent,
    "fetch_base": lambda times, names, weights, *_: weights / FETCHED,
    "dequantize_base": _copied,
    "merge_lora": _copied,
    "convert_gguf": _copied,
    "quantize": _copied,
    "describe_gguf": _copied,
    "make_release": _copied,
    "measure_importance": lambda times, names, weights, text, threads: (
        weights / COPIED + times.training(weights, IMPORTANCE, threads)
    ),
    "measure_gguf": lambda times, names, weights, text, threads: (
        weights * MEASURED / _generated(threads)
    ),
    "measure_general": lambda times, names, weights, text, threads: (
        weights * times.config["forgetting"]["kilobytes"] * READ_GENERAL / _generated(threads)
    ),
    "measure_scale": lambda times, names, weights, text, threads: (
        5 * weights / COPIED + weights * MEASURED / _generated(threads)
    ),
}
# Rule -> seconds by the sizes of its dataset; other rules read all text of it once.
DATA = {
    "simulate_corpus": lambda text: SIMULATED["documents"] * text.documents,
    "simulate_sft": lambda text: SIMULATED["rows"] * text.rows,
    "simulate_practice": lambda text: SIMULATED["rows"] * text.rows,
    "simulate_tasks": lambda text: SIMULATED["tasks"] * text.tasks,
    "prepare_tasks": lambda text: SIMULATED["tasks"] * text.tasks,
    "learn_queries": lambda text: SIMULATED["rows"] * text.rows,
    "build_bm25": lambda text: _read(text) + SIMULATED["rows"] * text.rows,
    "weigh_words": lambda text: _read(text) + SIMULATED["rows"] * text.rows,
    "measure_retrieval": lambda text: SOUGHT * text.tasks,
    "compare_searches": lambda text: 4 * SOUGHT * text.tasks,
    "embed_chunks": lambda text: text.kb / EMBEDDED,
    "embed_shard": lambda text: text.kb / EMBEDDED,
}
