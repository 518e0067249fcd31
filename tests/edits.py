"""Changes of a project, as functions that are given it: what a user edits, touches, configures."""

import os

SPEC = "resources/datasets/food-delivery"
SCRIPTS = "workflow/scripts"
OLD = 1_000_000_000  # seconds since the epoch


def touch(*names):
    """A change of the times of files, or of all files in folders, and of nothing else."""

    def change(project):
        for name in names:
            path = project.folder / name
            for file in [path, *path.rglob("*")]:
                os.utime(file)

    return change


def append(path, text):
    def change(project):
        with open(project.folder / path, "a", encoding="utf-8") as file:
            file.write(text)

    return change


def replace(path, old, new):
    return lambda project: project.edit(path, old, new)


def configure(**values):
    return lambda project: project.overlay(**values)


def replace_by_older(path, old, new):
    """An edit that leaves a time of long ago, as files have that are moved or unpacked."""

    def change(project):
        project.edit(path, old, new)
        os.utime(project.folder / path, (OLD, OLD))

    return change
