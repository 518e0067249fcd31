"""Memory, GPU memory and disk of each stage, estimated from sizes and settings.

The estimates count the largest parts: weights, their copies, optimizer, activations, logits. The
rest hardly depends on the model; it is a measured constant of each stage. docs/memory.md compares
the figures with measurements.
"""

from dataclasses import dataclass, replace

from specialist.config.settings.bases import imported, in_gguf

# Bytes of a process with its libraries, before there is a model.
PROCESS = {
    "fetch_base": 0.5e9, "pretrain": 0.75e9, "train_lora": 0.85e9, "merge_lora": 0.47e9,
    "convert_gguf": 0.5e9, "quantize": 0.18e9, "measure_gguf": 0.2e9, "run_agent": 0.2e9,
}  # fmt: skip
CUDA = 0.6e9  # of GPU memory, by CUDA itself
NF4 = 0.516  # bytes of a weight: 4 bits, and the scales of its block, quantised in turn
# Bytes of a logit: in bf16 and fp32, its logarithm of a probability, and the gradients of two.
LOGIT = 14
LOGITS = 1 << 24  # that training has at a time on a processor; see specialist.train.loss
# On a processor, oneDNN and the allocator keep LENGTH bytes for each new length of a batch. Batches
# have about LENGTHS different lengths per token of the longest one, and seldom more than MOST.
LENGTH, LENGTHS, MOST = 21e6, 0.22, 105
TURNS = 32  # that collect_preferences goes on with at a time
TILE = 4096 * 8192  # logits that trl has on a GPU at a time, at most


@dataclass(frozen=True)
class Need:
    """Needs of a job, in bytes.

    Args:
        ram, vram: most memory of the process, and of the GPU.
        disk: size of its outputs; `scratch` is needed in addition while it runs.
    """

    ram: float
    vram: float = 0.0
    disk: float = 0.0
    scratch: float = 0.0


def together(count, need):
    """The need of several processes that each have one; on GPUs, each has its own."""
    return replace(need, ram=count * need.ram)


def pretraining(model, base, gpu, bf16):
    """Need of `pretrain`: Muon on the matrices, AdamW on the rest, all in fp32.

    That of `continue_pretraining`, where the base is taken over: AdamW on all.

    Args:
        model: `specialist.preflight.architecture.Architecture`.
        base: entry of `bases` in the configuration.
        gpu: whether there is one.
        bf16: whether matrix products are computed in it.
    """
    further = imported(base)
    others = model.parameters if further else model.parameters - model.linear
    tokens = max(base["batch_tokens"], base["sequence"])
    state = 8 * model.parameters + 4 * (not further) * model.linear + 8 * others
    copies = 2 * model.parameters if bf16 else 0
    kept = model.layers * _kept(model, tokens, base["sequence"], bf16, gpu)
    # Held-out text is read 16 rows at a time, without gradients.
    logits = model.vocabulary * max(LOGIT * tokens, 10 * 16 * base["sequence"])
    weights = 4 * model.parameters
    return _placed("pretrain", state + copies + kept + logits, gpu, weights, weights, 2 * weights)


def finetuning(model, adapter, gpu, bf16, rows=None):
    """Need of `train_lora`.

    Args:
        model, gpu, bf16: as for `pretraining`.
        adapter: entry of `adapters` in the configuration. Conversations are taken to be as long
            as its `max_length` allows, and to carry loss everywhere.
        rows: how many conversations there are; None if that is not known.
    """
    method = adapter.get("method", "lora")
    checkpointing = adapter.get("gradient_checkpointing", False)
    tokens = adapter["batch_size"] * adapter["max_length"]
    if method == "full":
        trained, frozen = model.parameters, 0
    else:
        trained = model.low_rank(adapter["rank"], adapter["target_modules"])
        frozen = _frozen(model, method)
    stored = bf16 and method in ("lora", "dora", "rslora") and model.weight_bytes == 2
    if stored:
        frozen = 2 * model.parameters
    kept = _kept(model, tokens, adapter["max_length"], bf16, gpu)
    if checkpointing:  # inputs of each layer, and what one layer keeps while it computes
        kept += model.layers * 4 * model.hidden * tokens
    else:
        kept *= model.layers
    needed = frozen + 16 * trained + kept
    if bf16 and not stored:
        needed += _copies(model, method, checkpointing)
    if gpu:
        needed += LOGIT * TILE
    else:
        lengths = min(LENGTHS * adapter["max_length"], MOST)
        if rows:
            lengths = min(lengths, rows / adapter["batch_size"])
        logits = tokens * model.vocabulary
        needed += LOGIT * (logits if method == "full" else min(logits, LOGITS)) + LENGTH * lengths
    # A base in 4 bits is quantised on the GPU piece by piece; others are read before they go there.
    loaded = 4 * (model.vocabulary * model.hidden if method == "qlora" else model.parameters)
    loaded = frozen if stored else loaded
    return _placed("train_lora", needed, gpu, loaded, 4 * trained, 12 * trained)


def _frozen(model, method):
    """Bytes of the weights of a base that an adapter is trained on."""
    if method != "qlora":
        return 4 * model.parameters
    return NF4 * model.linear + 2 * (model.parameters - model.linear)


def _copies(model, method, checkpointing):
    """Bytes of the bf16 copies of weights, kept for the gradients of their inputs."""
    if method == "qlora":  # one matrix at a time comes out of its 4 bits
        return 2 * model.largest
    linear = model.linear
    if checkpointing and method != "full":  # what is trained is copied once for all layers
        linear /= model.layers
    return 2 * (linear + model.vocabulary * model.hidden)


def _placed(stage, needed, gpu, loaded, disk, scratch):
    """The need of a training, in memory or GPU memory; on a GPU, `loaded` passes through memory."""
    if gpu:
        return Need(PROCESS[stage] + loaded, CUDA + needed, disk, scratch)
    return Need(PROCESS[stage] + needed, 0.0, disk, scratch)


def _kept(model, tokens, sequence, bf16, gpu):
    """Bytes of activations that one layer keeps for the gradients.

    The stream between the layers is fp32; each matrix has a copy of its input in its own number
    format. Attention as matrix products also keeps its weights; fused attention does not.
    """
    size = 2 if bf16 else 4
    queries = model.heads * model.head_dim
    stream = 8 * model.hidden + (10 * model.hidden if bf16 else 8 * model.hidden)
    if model.head_norms:
        stream += 4 * (queries + model.key_heads * model.head_dim)
    attention = 4 * size * queries
    if bf16 and not gpu:
        attention += size * model.heads * sequence
    return tokens * (stream + attention + 4 * size * model.intermediate)


def fetching(model, base):
    """Need of `fetch_base` or `dequantize_base`: the download, and the single file of weights.

    A GGUF is written in F16 too, for the gate.

    Args:
        base: entry of `bases` in the configuration.
    """
    weights = model.weight_bytes * model.parameters
    scratch = 2 * model.parameters if in_gguf(base) else 0.0
    return Need(PROCESS["fetch_base"], disk=weights * (1 + ("hub" in base)), scratch=scratch)


def importance(model, tokens):
    """Need of `measure_importance`: a layer, or the embeddings, at a time, and what it computes.

    Args:
        tokens: that go through the model together.
    """
    computed = 4 * tokens * (8 * model.hidden + 4 * model.intermediate)
    return Need(PROCESS["train_lora"] + _streamed(model, 4, 0) + computed)


def collecting(model, adapter, gpu, tokens):
    """Need of `collect_preferences`: the base with its adapter, and the KV cache of a batch.

    Args:
        tokens: that a conversation may have in all.
    """
    cache = 2 * 4 * model.layers * model.key_heads * model.head_dim * tokens
    weights = _frozen(model, adapter["method"])
    needed = weights + TURNS * (cache + 4 * 3 * model.vocabulary)
    return _placed("train_lora", needed, gpu, weights, 0.0, 0.0)


def merging(model, method="lora", gpu=False):
    """Need of `merge_lora`: a layer, or the embeddings, at a time; then QLoRA's base in 4 bits."""
    disk = model.weight_bytes * model.parameters
    streamed = _streamed(model, 4 + model.weight_bytes, 3)
    if method != "qlora":
        return Need(PROCESS["merge_lora"] + streamed, disk=disk)
    trained = _frozen(model, method) + 4 * 4 * 512 * model.vocabulary
    ram = PROCESS["merge_lora"] + (streamed if gpu else max(streamed, trained))
    return Need(ram, CUDA + trained if gpu else 0.0, disk)


def evaluation(model):
    """Need of `evaluate_adapter`: the merged model in fp32."""
    logits = 4 * model.vocabulary * 16 * 512
    return Need(PROCESS["train_lora"] + 4 * model.parameters + logits)


def conversion(model):
    """Need of `convert_gguf`: llama.cpp maps the GGUF; its pages can be freed at any time."""
    disk = 2 * model.parameters
    return Need(PROCESS["convert_gguf"] + _streamed(model, 4, 2), disk=disk)


def _streamed(model, size, logits, tokens=512):
    """Memory for a layer or the embeddings at `size` bytes a weight, and for logits in fp32."""
    embeddings = model.vocabulary * model.hidden
    layer = model.linear / model.layers
    part = max(embeddings, layer)
    return size * part + 4 * logits * tokens * model.vocabulary


def quantization(model, bits):
    """Need of `quantize`: the largest matrix in fp32 and quantised."""
    largest = max(model.largest, model.vocabulary * model.hidden)
    disk = bits / 8 * model.parameters
    return Need(PROCESS["quantize"] + (4 + 2 * bits / 8) * largest, disk=disk)


def generation(model, bits, context, stage="run_agent"):
    """Need of a process in which llama.cpp generates: weights, KV cache, one batch.

    On a GPU llama.cpp is not used by the steps, unless it was built for one.
    """
    cache = 2 * 2 * model.layers * model.key_heads * model.head_dim * context
    batch = 4 * min(512, context) * (model.vocabulary + 3 * model.hidden + 3 * model.intermediate)
    return Need(PROCESS[stage] + bits / 8 * model.parameters + cache + batch)


def bits_of(kind):
    """Approximate bits per weight in a type of llama.cpp, block scales included."""
    if kind == "F16":
        return 16.0
    digit = next(int(letter) for letter in kind if letter.isdigit())
    return digit + 0.9
