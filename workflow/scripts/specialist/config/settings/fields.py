"""Types of settings, and the class that all groups of settings extend."""

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, WrapValidator
from pydantic_core import PydanticCustomError


class Settings(BaseModel):
    """A group of settings; unknown keys are refused, and no value is converted.

    Attributes:
        place: where its values stand in the configuration, with wildcards: `adapters/{adapter}`.
            Groups that no step receives have none.
    """

    model_config = ConfigDict(extra="forbid", strict=True)
    place: ClassVar[str | None] = None


def _no_item_twice(items):
    if len({str(item) for item in items}) < len(items):
        raise PydanticCustomError("unique", "an item is given twice")
    return items


def number(**bounds):
    """The type of a finite number.

    A whole number stays whole: 32 does not become 32.0, which would be other text in results.

    Args:
        bounds: gt, ge, lt, le, as for pydantic's `Field`.
    """
    keep = WrapValidator(lambda value, check: (check(value), value)[1])
    return Annotated[float, Field(allow_inf_nan=False, **bounds), keep]


Positive = number(gt=0)
Rate = number(gt=0, le=1)
Share = number(ge=0, le=1)
# A name becomes a folder of results/: it must be valid on every file system, without wildcards.
NAME = "[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9_-])?"
LONGEST = 200  # characters of a name: files named by it must stay below 255
Name = Annotated[str, Field(pattern=f"^{NAME}$", max_length=LONGEST)]
Seed = Annotated[int, Field(ge=0, le=2**32 - 1)]
Unique = (AfterValidator(_no_item_twice), Field(json_schema_extra={"uniqueItems": True}))
# llama.cpp's types. A name with IMATRIX is the same type, made with an importance matrix; the types
# in NEEDING exist only so.
IMATRIX = "_IMATRIX"
PLAIN = (
    "Q8_0", "Q6_K", "Q5_K_M", "Q5_K_S", "Q5_1", "Q5_0", "Q4_K_M", "Q4_K_S", "Q4_1", "Q4_0",
    "IQ4_NL", "IQ4_XS", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S", "Q2_K",
)  # fmt: skip
NEEDING = ("IQ3_XS", "IQ3_XXS", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_M", "IQ1_S")
WITH_MATRIX = tuple(f"{kind}{IMATRIX}" for kind in (*PLAIN[1:], *NEEDING))  # Q8_0 ignores it
Quantization = Literal[*PLAIN, *WITH_MATRIX]
Quantizations = Annotated[list[Quantization], *Unique]


def llama_type(quantization):
    """llama.cpp's name of the type of a `Quantization`."""
    return quantization.removesuffix(IMATRIX)


Names = Annotated[list[str], *Unique]
Processes = Annotated[
    int | None,
    Field(
        ge=1,
        le=64,
        description="Number of processes that train it together, on one machine; default: 1. Each "
        "computes a part of every batch. On GPUs, each process uses one GPU. Results differ from "
        "those of one process by rounding.",
    ),
]
OwnDataset = Annotated[
    str | None, Field(description="Name of the dataset to use; default: `dataset`.")
]
