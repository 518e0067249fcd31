"""Which number format training computes in."""

# What processors call their instructions for bf16.
FEATURES = ("avx512_bf16", "amx_bf16")


def computes_bf16(precision):
    """True if matrix products should use bf16.

    Args:
        precision: "bf16", "fp32", or "auto": bf16 on a GPU that has it, and on a processor with
            instructions for it (elsewhere it would be emulated, and slower than fp32).
    """
    import torch

    if precision != "auto":
        return precision == "bf16"
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    can = torch.cpu.get_capabilities()
    return any(can.get(name) for name in FEATURES)
