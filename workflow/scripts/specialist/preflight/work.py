"""Work of a job, to estimate its time from another job of the same step.

The time of a step that reads a model grows with the number of its weights and of the tokens that it
sees. The time of other steps grows with the size of their inputs. The estimate is the time of a job
that ran, times the ratio of the two products. Imports and the start of a process are not scaled. A
token takes some time in a model of any size; this counts as a few million weights more. The
estimate is less exact between models of very different sizes.
"""

from specialist.core.shape import shape
from specialist.preflight import architecture
from specialist.preflight.lengths import simulated_rows

WEIGHTS, SIZE, ROWS = ("weights",), ("bytes",), ("bytes", "rows")
# Fitted to two sizes: on one thread, a LoRA pass over 1,504 tokens took 4.1 times as much CPU time
# with 28.3 as with 4.5 million weights.
BESIDES = 3_300_000  # weights that take as long as a token in a model without any


def _of(argument, units):
    """A factor: the size of an input, in the first of some units that both jobs know."""

    def factor(sizes, params):
        known = sizes.get(argument, {})
        return {unit: known[unit] for unit in units if known.get(unit)}

    return factor


def _passes(argument):
    """A factor: the weights of an input and what a token takes besides, in training."""
    weights = _of(argument, WEIGHTS)
    return lambda *given: {unit: n + BESIDES for unit, n in weights(*given).items()}


def _param(name):
    """A factor: the value of a parameter."""

    def factor(sizes, params):
        value = params.get(name)
        return {name: value} if isinstance(value, (int, float)) and value > 0 else {}

    return factor


def _conversations(sizes, params):
    """A factor: the part of the training conversations that is used, and each epoch of it."""
    known, found = sizes.get("conversations", {}), {}
    rows, examples, epochs = known.get("rows"), params.get("examples"), params.get("epochs", 1)
    if used := min(filter(None, (rows, examples)), default=None):
        found["rows"] = used * epochs
    if known.get("bytes") and rows:
        found = {"bytes": known["bytes"] * used / rows * epochs} | found
    return found


def _tasks(sizes, params):
    """A factor: the tasks that a system runs."""
    rows = sizes.get("tasks", {}).get("rows")
    return {"rows": min(rows, params.get("sample") or rows)} if rows else {}


def _from_scratch(sizes, params):
    """A factor: the weights in the layers of a base that is pretrained from scratch."""
    if not isinstance(params.get("depth"), int):
        return {}
    return {
        "weights": architecture.read({"model_type": "qwen3", **shape(params["depth"], 1)}).linear
    }


def _player(sizes, params):
    """A factor: the model of the agent; a policy takes no time."""
    known = sizes.get("gguf", {})
    return {"bytes": known["bytes"]} if known.get("bytes") else {params.get("policy"): 1}


MODEL, PASSES = _of("model", WEIGHTS), _passes("model")
# Rule -> factors of its work. For other rules, the time hardly depends on sizes.
FACTORS = {
    "pretrain": (_from_scratch, _param("train_tokens")),
    "measure_pretraining": (_from_scratch, _param("train_tokens")),
    "continue_pretraining": (_passes("start"), _param("train_tokens")),
    "train_lora": (PASSES, _conversations),
    "train_dpo": (PASSES, _of("preferences", ROWS), _param("epochs")),
    "collect_preferences": (PASSES, _of("practice", ROWS)),
    "evaluate_adapter": (PASSES, _of("held_out", ROWS)),
    "dequantize_base": (_of("source", SIZE),),
    "measure_importance": (MODEL,),
    "merge_lora": (MODEL,),
    "convert_gguf": (MODEL,),
    "quantize": (_of("f16", SIZE),),
    "measure_gguf": (_of("f16", SIZE),),
    "measure_general": (_of("gguf", SIZE),),
    "run_agent": (_player, _tasks),
    "run_served": (_tasks,),
    "prepare_corpus": (_of("sources", SIZE),),
    "prepare_sft": (_of("sources", SIZE),),
    "prepare_tickets": (_of("sources", SIZE),),
    "train_tokenizer": (_of("corpus", SIZE),),
    "tokenize_corpus": (_of("corpus", SIZE),),
    "audit_leakage": (_of("training", SIZE),),
    "chunk_kb": (_of("articles", SIZE),),
    "embed_chunks": (_of("chunks", ROWS),),
    "build_chroma": (_of("chunks", ROWS),),
    "chunk_shard": (_of("articles", SIZE),),
    "embed_shard": (_of("chunks", ROWS),),
    "build_shard": (_of("chunks", ROWS),),
    "join_shards": (_of("vectors", SIZE),),
}


def ratio(rule, job, other):
    """The ratio of the work of two jobs.

    Args:
        rule: of both.
        job, other: pairs of sizes, as `specialist.engine.sizes.measure` returns them, and
            parameters.

    Returns:
        a number; None if it is not known.
    """
    found = 1.0
    for factor in FACTORS.get(rule, ()):
        here, there = factor(*job), factor(*other)
        unit = next((unit for unit in here if unit in there), None)
        if unit is None:
            return None
        found *= here[unit] / there[unit]
    return found


class Expected:
    """Sizes and needs of jobs that did not run yet.

    Args:
        preflight: a `specialist.preflight.check.Preflight`.
    """

    def __init__(self, preflight):
        self.preflight = preflight

    def size(self, rule, wildcards, path):
        """Sizes of an output of a job, in the form of sizes.py; {} if unknown."""
        entry = self.preflight.config["datasets"].get(wildcards.get("dataset"), {})
        if "simulate" in entry and path.endswith((".train.jsonl", "tasks.jsonl")):
            if rule == "prepare_sft":
                return {"rows": simulated_rows(entry)}
            if rule == "mix_general":
                share = self.preflight.config["adapters"][wildcards["adapter"]]["mix_general"]
                return {"rows": round(simulated_rows(entry) / (1 - share))}
            if rule == "prepare_tasks":
                return {"rows": entry["tasks"] + entry["conversations"]}
        if not path.endswith((".safetensors", ".gguf")):
            return {}
        found = {}
        for stage in self.preflight.stages([(rule, wildcards)]):
            if not path.endswith("adapter_model.safetensors"):
                found["weights"] = stage.parameters
            if stage.need.disk:
                found["bytes"] = round(stage.need.disk)
        return found

    def memory_mb(self, rule, wildcards):
        """The most memory that a job needs, in MB; None if unknown."""
        for stage in self.preflight.stages([(rule, wildcards)]):
            return round(stage.need.ram / 1e6)
        return None
