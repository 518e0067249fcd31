"""The parts of a dataset, and the files that each may be."""

# What each part of a simulated dataset is drawn from; it is made again when one of these changes.
SPEC = {
    "corpus": ["world.yaml", "sayings/train.yaml", "corpus.yaml", "labels.yaml", "tools.yaml"],
    "sft": ["world.yaml", "sayings/train.yaml", "procedures.yaml", "kinds.yaml", "tools.yaml"],
    "kb": ["world.yaml", "sayings/{sayings}.yaml", "figures.yaml"],
    "tasks": [
        "world.yaml", "sayings/{sayings}.yaml", "figures.yaml", "procedures.yaml", "kinds.yaml",
        "tools.yaml",
    ],
    "tools": ["tools.yaml"],
}  # fmt: skip
# The parts that have conversations, and the setting that says how many.
CONVERSATIONS = {"sft": "dialogues", "tasks": "conversations"}
NEEDS_DATABASE, NEEDS_HANDBOOK = {"sft", "tasks"}, {"corpus", "sft", "kb", "tasks"}
# Part -> files of a user's folder that it may be.
PARTS = {
    "corpus": ("corpus/*.txt", "corpus/*.md", "corpus/*.jsonl", "tickets/*"),
    # The readers refuse any other kind by name.
    "sft": ("sft.jsonl", "sft.csv", "sft.parquet", "sft.*"),
    "preferences": ("preferences.jsonl", "preferences.*"),
    "tickets": ("tickets/*.mbox", "tickets/*.eml", "tickets/*.csv", "tickets/*.jsonl"),
    "kb": ("kb/*.md", "kb/*.txt", "kb/*.html", "kb/*.pdf", "kb/*.docx", "kb/*.csv", "kb/*.xlsx"),
    "tools": ("tools.yaml",),
    "database": ("database.sql",),
    "tasks": ("tasks.jsonl",),
}
# What is converted to Markdown before it is cut into chunks.
DOCUMENTS = (".html", ".htm", ".pdf", ".docx", ".csv", ".xlsx")
# Parts that are folders of texts, and the endings of their files.
FOLDERS = {
    "corpus": (
        ".txt", ".md", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet",
        ".gz", ".bz2", ".xz", ".zst",
    ),
    "tickets": (
        ".mbox", ".eml", ".txt", ".md", ".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet",
        ".gz", ".bz2", ".xz", ".zst",
    ),
    "kb": (".md", ".txt", *DOCUMENTS),
}  # fmt: skip

# The files of a folder `prompts` of `synthesize`, by what is written with them.
PROMPTS = {
    "article": ("answer.jinja", "question.jinja", "unanswerable.jinja", "styles.yaml"),
    "requests": ("request.jinja", "result.jinja", "styles.yaml"),
    "conversations": ("request_later.jinja",),
    "judge": ("judge_question.jinja", "judge_unanswerable.jinja", "judge_request.jinja"),
    "rows": ("replies.yaml",),
}
