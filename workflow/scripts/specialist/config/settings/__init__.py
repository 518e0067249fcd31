"""The settings of a configuration: type, bounds, default and meaning of each, stated once.

A class is an entry, or a section, of config.yaml. The classes with a `place` are also what a step
receives: `settings(LoraTraining)` in a rule gives the step only the fields of that class. The step
therefore runs again only if a value changes that it uses. config/README.md and
workflow/schemas/config.schema.json are generated from these classes. The checks of an entry,
alone and against others, are in the same file.
"""
