"""The settings of a configuration: each with its type, bounds, default and meaning, stated once.

A class is an entry, or a section, of config.yaml. The classes with a `place` are also what a step
receives: `settings(LoraTraining)` in a rule gives the step the fields of that class and no others,
so that a step runs again only when a value changes that it computes with. config/README.md and
workflow/schemas/config.schema.json are generated from these classes. The checks of an entry in
itself and against others stand in the same file.
"""
