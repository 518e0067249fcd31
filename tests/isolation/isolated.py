"""Jobs that see their declared inputs only, in any language and in child processes.

Snakemake's `shadow: copy-minimal` runs each job in an empty folder with copies of its inputs, as
on another machine. Its scripts, and so the workflow's code, stay where they are. A relative path to
anything else leads nowhere. An absolute path is refused by a hook that Python calls for each file
that it opens (hook/sitecustomize.py).

Not seen: an absolute path that is opened by a library in another language, such as llama.cpp. Such
a path would have to be made by the workflow's code.
"""

import os
from pathlib import Path

SHADOWS = """

# Each job sees its declared inputs only.
for _rule in workflow.rules:
    if _rule.script:
        _rule.shadow_depth = "copy-minimal"
"""
HOOK = Path(__file__).parent / "hook"
CODE = ("workflow/scripts", "workflow/schemas", "envs", ".snakemake/scripts", ".snakemake/log")


def isolate(project, *data):
    """Have all jobs of a project run isolated.

    Args:
        project: a `project.Project`, whose Snakefile is changed.
        data: folders outside the project that no job may read unless it declares them.

    Returns:
        the environment variables for its runs.
    """
    with open(project.folder / "Snakefile", "a", encoding="utf-8") as file:
        file.write(SHADOWS)
    roots = [project.folder.resolve(), *(folder.resolve() for folder in data)]
    allowed = [project.folder.resolve() / path for path in CODE]
    return {
        "PYTHONPATH": str(HOOK),
        "ISOLATION_ROOTS": os.pathsep.join(map(str, roots)),
        "ISOLATION_ALLOWED": os.pathsep.join(map(str, allowed)),
    }
