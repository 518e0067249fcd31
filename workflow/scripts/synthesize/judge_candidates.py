"""Asks the judge about what the teacher wrote on one article, or for the tools."""


def judge_candidates(candidates, prompts, gguf, judged, *, judge, seed, threads, checkpoints):
    """Write the candidates with the verdicts of the judge; see `specialist.synthesis.judge.judged`.

    The verdicts are kept as they arrive: a stopped run continues with the request where it stopped.

    Args:
        candidates: JSONL of synthesize_article or synthesize_requests.
        prompts: files of the judge's prompts.
        gguf: a local judge, or an empty list.
        judged: JSONL to write.
        judge: dict of `specialist.config.settings.synthesis.Judge`.
        seed: of the judge's replies.
        threads: CPU threads of a local judge.
        checkpoints: `specialist.engine.checkpoints.Checkpoints`.

    Raises:
        UserError: the judge cannot be reached, or a prompt cannot be read.
    """
    from collections import Counter

    from specialist.core.text import read_rows, write_rows
    from specialist.synthesis.journal import Journal
    from specialist.synthesis.judge import judged as ask_about
    from specialist.synthesis.resources import Prompts
    from specialist.synthesis.teacher import open_teacher

    rows, asking = [*read_rows(candidates)], Prompts(prompts)
    with (
        open_teacher(judge, gguf, threads, "synthesize.judge") as opened,
        Journal(checkpoints.folder / "replies.jsonl", opened, seed) as journal,
    ):
        found = ask_about(rows, asking, journal.ask, opened.parallel)
    write_rows(judged, found)
    counts = Counter(row["verdict"] for row in found if "verdict" in row)
    print(", ".join(f"{number} {verdict}" for verdict, number in sorted(counts.items())) or "none")


if "snakemake" in globals():
    from specialist.engine.step import run

    run(judge_candidates, snakemake)
