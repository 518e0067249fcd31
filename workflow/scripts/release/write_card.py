"""Writes the model card of a release, with what was measured."""

import json

ROLES = (
    "pretraining", "training", "source_facts", "measures", "base_general", "general", "retrieval",
    "leakage", "corpus", "sft",
)  # fmt: skip


def write_card(
    template, scores, baselines, pretraining, training, source_facts, measures, base_general,
    general, retrieval, leakage, corpus, sft, card,
    *, name, license, data_license, language, author, dataset, source, parts,
):  # fmt: skip
    """Write `card`: Markdown with the header that model hubs read.

    Args:
        template: Jinja template of the card.
        scores: JSON of score.
        baselines: the same of the systems that it should be better than.
        pretraining, training, source_facts, measures, base_general, general, retrieval, leakage,
            corpus, sft: JSON of pretrain, train_lora, dequantize_base, measure_gguf,
            measure_general (of the base, and of the model), measure_retrieval, audit_leakage,
            prepare_corpus and prepare_sft, or an empty list for what the system has not.
        card: Markdown to write.
        name, license, language, author: of the model.
        data_license: licence of the data, or an empty text.
        dataset: name of the dataset of the evaluation.
        source: where the dataset came from.
        parts: dict: "base" and "adapter" ({"name", and the entry of the configuration}, None
            without one), "quantization", "embedding" (None without an index), "tools" and
            "database" (whether it has them).
    """
    from huggingface_hub import EvalResult, ModelCard, ModelCardData

    from specialist.core.rates import wilson
    from specialist.release.standing import notice

    found = _read(scores)
    given = locals()
    figures = {role: _read(given[role]) if given[role] else None for role in ROLES}
    rate = found["success"] / found["n"]
    judged = "facts in the answer"
    if parts["database"]:
        judged = f"the end state of the database and by {judged}"
    result = EvalResult(
        task_type="text-generation",
        task_name=f"cases, judged by {judged}",
        dataset_type=dataset,
        dataset_name=dataset,
        metric_type="success_rate",
        metric_name="cases solved",
        metric_value=round(rate, 4),
    )
    data = ModelCardData(
        model_name=name,
        license=license,
        language=language or None,
        library_name="gguf",
        pipeline_tag="text-generation",
        tags=["gguf", "llama.cpp", "ollama", "agent", parts["quantization"]],
        eval_results=[result],
    )
    made = ModelCard.from_template(
        data, template_path=str(template), name=name, author=author, dataset=dataset,
        source=source, data_license=data_license, judged=judged, scores=found,
        notice=notice(found, {path.parent.name: _read(path) for path in baselines}),
        rate=rate, interval=wilson(found["success"], found["n"]), **parts, **figures,
    )  # fmt: skip
    card.write_text(made.content.strip() + "\n", encoding="utf-8")


def _read(path):
    return json.loads(path.read_text(encoding="utf-8"))


if "snakemake" in globals():
    from specialist.engine.step import run

    run(write_card, snakemake)
