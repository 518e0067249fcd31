"""What each job asks a scheduler for: memory, time, GPUs and threads, from the run's estimates."""

import functools
import math
from dataclasses import replace

from specialist.core.hardware import gpus
from specialist.preflight import architecture, needs
from specialist.preflight.check import Preflight
from specialist.preflight.estimates import ESTIMATES
from specialist.preflight.machine import Machine
from specialist.preflight.times import Times
from specialist.preflight.volumes import volume

# Rules that compute on a GPU if there is one.
ON_GPU = {
    "pretrain", "measure_pretraining", "continue_pretraining", "train_lora", "collect_preferences",
    "train_dpo", "merge_lora", "embed_chunks", "embed_shard", "measure_gguf", "measure_general",
    "run_agent",
}  # fmt: skip
# Rules that train in several processes if their base or adapter says so, and its section.
IN_PROCESSES = {"pretrain": "base", "continue_pretraining": "base", "train_lora": "adapter"}
# Bytes of a process with its libraries, for rules without an estimate by the size of a model.
LIBRARIES = {
    "embed_chunks": 0.75e9, "embed_shard": 0.75e9, "convert_document": 0.6e9,
    "fetch_tokenizer": 0.5e9, "run_served": 0.6e9, "convert_encoder": 0.45e9,
    "train_tokenizer": 0.3e9, "measure_retrieval": 0.3e9, "compare_searches": 0.3e9,
    "learn_queries": 0.3e9, "build_bm25": 0.3e9, "weigh_words": 0.3e9,
}  # fmt: skip
PLAIN = 0.2e9  # of a process without large libraries
HELD = 6  # bytes in memory for a byte of a dataset's text
GRAPHS = 4  # bytes that the stores of a large index have in memory for a byte of its documents
SENTENCES = 0.7e9  # of sentence-transformers, where a search needs it
SEARCHING = {
    "run_agent", "run_served", "compare_served", "measure_retrieval", "compare_searches",
    "learn_queries", "build_bm25", "weigh_words",
}  # fmt: skip
UNKNOWN = 8e9  # of a job on a model whose sizes are not known
BESIDE = 0.4e9  # of the processes of Snakemake that start a job on a node
STEP = 100  # MB to which memory is rounded up
MEASURED = 4096  # tokens of context in measure_scale
SAME = {"measure_pretraining": "pretrain", "compare_served": "run_agent"}  # as much memory
SMALL = 30_000_000  # weights of a model up to which a second thread does not speed up llama.cpp


class Requests:
    """What the jobs of a run ask for. It is computed for a job once a scheduler wants to know.

    Args:
        config: the loaded configuration.
        cores: most threads of a job.
    """

    def __init__(self, config, cores):
        self.config, self.cores, self.factors = config, cores, config["resources"]
        self._volumes = {}

    def of(self, rule):
        """The resources of a rule, for `resources: **needs("...")`.

        Returns:
            {"mem_mb": MB, "runtime": minutes}; for rules that compute on a GPU, {"gpu": number
            of GPUs}; for rules in IN_PROCESSES, {"processes": number of processes}. Each is a
            function that Snakemake calls. A job that failed asks for more.
        """

        def mem_mb(wildcards, attempt):
            wanted = self.factors["memory_factor"] * attempt * self.memory(rule, _names(wildcards))
            return STEP * math.ceil((wanted + BESIDE) / (STEP * 1e6))

        def runtime(wildcards, threads, attempt):
            seconds = self.seconds(rule, _names(wildcards), threads)
            return math.ceil(self.factors["runtime_factor"] * attempt * seconds / 60)

        def processes(wildcards):
            return self.processes(rule, _names(wildcards))

        found = {"mem_mb": mem_mb, "runtime": runtime}
        if rule in ON_GPU:
            found["gpu"] = lambda wildcards: self.gpu * processes(wildcards)
        return found | ({"processes": processes} if rule in IN_PROCESSES else {})

    def processes(self, rule, names):
        """Number of processes of a job."""
        if rule not in IN_PROCESSES:
            return 1
        kind = IN_PROCESSES[rule]
        return self.config[f"{kind}s"][names[kind]].get("processes", 1)

    def threads(self, wildcards):
        """Threads of a job in which llama.cpp generates."""
        model = self._estimates[0].model(_names(wildcards))
        return self.cores if model and model.parameters > SMALL else 1

    @functools.cached_property
    def gpu(self):
        """Whether jobs that compute on a GPU ask for one."""
        wanted = self.factors["gpu"]
        return wanted == "always" or (wanted == "auto" and bool(gpus("uuid")))

    @functools.cached_property
    def _estimates(self):
        """`Preflight`s of nodes with bf16 and without: nobody knows which of them a job gets."""
        vram = math.inf if self.gpu else 0.0
        return [
            Preflight(self.config, Machine(math.inf, vram, math.inf, bf16))
            for bf16 in (True, False)
        ]

    def memory(self, rule, names):
        """Expected bytes of a job's own process.

        Args:
            rule, names: of the job, and the values of its wildcards by their names.
        """
        if rule == "measure_scale":
            return needs.generation(self._shape(names), needs.bits_of("F16"), MEASURED).ram
        sized = SAME.get(rule, rule)
        job = [(sized, names)]
        found = [stage.need.ram for each in self._estimates for stage in each.stages(job)]
        if found:
            return max(found) + self._searching(rule, names)
        if sized in ESTIMATES and self._estimates[0].base(names):
            return UNKNOWN
        libraries = LIBRARIES.get(rule, PLAIN) + self._searching(rule, names)
        return libraries + HELD * self._text(names).bytes

    def seconds(self, rule, names, threads):
        """Expected seconds of a job, from the start of its process."""
        model = self._shape(names) if "shape" in names else self._estimates[0].model(names)
        times = Times(self.config, self.gpu)
        return times.seconds(rule, names, model, self._text(names), threads)

    def _text(self, names):
        dataset = names.get("dataset", self.config["dataset"])
        if dataset not in self._volumes:
            self._volumes[dataset] = volume(self.config, dataset)
        found = self._volumes[dataset]
        if "shard" in names:  # a part of the articles, and nothing else
            parts = self.config["indexes"][names["index"]]["shards"]
            found = replace(found, corpus=0, sft=0, preferences=0, kb=math.ceil(found.kb / parts))
        return found

    def _shape(self, names):
        sizes = self.config["shapes"][names["shape"]]
        keys = {
            "model_type": "architecture", "hidden_size": "hidden", "num_hidden_layers": "layers",
            "num_attention_heads": "heads", "num_key_value_heads": "key_heads",
            "intermediate_size": "intermediate", "vocab_size": "vocabulary",
        }  # fmt: skip
        return architecture.read({key: sizes[name] for key, name in keys.items()})

    def _searching(self, rule, names):
        """Bytes of sentence-transformers, if the job's search needs it, and of a large index."""
        system = self.config["systems"].get(names.get("system"), {})
        index = self.config["indexes"].get(names.get("index") or system.get("index"))
        if rule not in SEARCHING or not index:
            return 0.0
        found = SENTENCES * (index["encoder"] != "llama.cpp" or "reranker" in index)
        if SAME.get(rule, rule) == "run_agent" and "shards" in index:
            found += GRAPHS * self._text({"dataset": index["dataset"]}).kb
        return found


def _names(wildcards):
    return dict(wildcards.items())
