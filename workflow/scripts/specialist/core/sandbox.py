"""A sandbox for Jinja templates from elsewhere, with limits on time and memory.

Jinja's own sandbox hides Python's internals and refuses ranges of more than 99,999 numbers. Nested
loops and recursive macros would still run forever there.
"""

from jinja2 import StrictUndefined, TemplateError, Undefined, nodes
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from specialist.core.errors import UserError

STEPS = 1_000_000  # passes through loops and calls of functions in one rendering
SIZE = 10_000_000  # characters, or bits of a number, that one multiplication may give


class LimitError(UserError):
    """A template exceeds the limits on time or memory."""


class Sandbox(ImmutableSandboxedEnvironment):
    """An environment in which each rendering ends.

    Args:
        strict: whether an unknown name is an error instead of empty text.
        options: of `jinja2.Environment`.
    """

    intercepted_binops = frozenset({"*", "**"})

    def __init__(self, strict=False, **options):
        super().__init__(undefined=StrictUndefined if strict else Undefined, **options)
        self.filters["counted"] = self._counted
        del self.globals["lipsum"]  # text by chance, of any length
        self._left = STEPS

    def compiled(self, text, name):
        """A function from variables to text.

        Args:
            name: of the template, for messages.

        Raises:
            UserError: the template is not Jinja, from here; it cannot be rendered, from the
                function. `LimitError` if it needs too much.
        """
        template = _guarded(name, self.from_string, text)

        def render(**variables):
            self._left = STEPS
            return _guarded(name, template.render, variables)

        return render

    def _generate(self, source, *args, **options):
        """Jinja's hook: the tree of a template before it becomes code."""
        for loop in list(source.find_all(nodes.For)):
            loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None, lineno=loop.lineno)
            loop.iter.set_environment(self)
        return super()._generate(source, *args, **options)

    def _counted(self, values):
        values = list(values)
        self._spend(len(values))
        return values

    def call(self, context, function, *args, **options):
        self._spend(1)
        if isinstance(function, LoopContext):  # a recursive loop goes on with other values
            args = [self._counted(args[0]), *args[1:]]
        return super().call(context, function, *args, **options)

    def call_binop(self, context, operator, left, right):
        if _size(operator, left, right) > SIZE:
            raise LimitError(f"'{operator}' gives more than {SIZE:,} characters or bits")
        return super().call_binop(context, operator, left, right)

    def _spend(self, steps):
        self._left -= steps
        if self._left < 0:
            raise LimitError(f"it takes more than {STEPS:,} passes through loops and calls")


def _size(operator, left, right):
    """Characters of a repeated text, or bits of a whole number; 0 for what stays small."""
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length()
        return bits * right if operator == "**" else bits + right.bit_length()
    for text, times in ((left, right), (right, left)):
        if operator == "*" and isinstance(times, int) and hasattr(text, "__len__"):
            return len(text) * times
    return 0


def _guarded(name, function, argument):
    """Call a function of Jinja; a template may raise anything."""
    try:
        return function(argument)
    except LimitError as error:
        raise LimitError(f"{name}: {error}") from None
    except (RecursionError, MemoryError) as error:
        what = (
            "calls itself too deeply" if isinstance(error, RecursionError) else "fills the memory"
        )
        raise LimitError(f"{name}: it {what}") from None
    except UserError:
        raise
    except TemplateError as error:
        line = f":{error.lineno}" if hasattr(error, "lineno") else ""
        raise UserError(f"{name}{line}: {error.message}") from None
    except Exception as error:
        raise UserError(f"{name}: {type(error).__name__}: {error}") from None
