"""The llama.cpp library, loaded once, and its error messages."""

import ctypes
import functools
import os

_errors = []  # llama.cpp's error messages since the last `forget` or `reason`
_callbacks = []  # ctypes does not keep them alive


@functools.cache
def library():
    """The llama.cpp bindings, initialised once; their log is silent, for `reason`."""
    # llama.cpp's threads are OpenMP's. They meet at hundreds of barriers for each token. If they
    # sleep there, a small model is much slower. Spinning threads would keep the cores
    # busy while a chat waits for its user. So they spin for some microseconds and then sleep.
    # OpenMP reads this when it loads; `python tests/bench_threads.py --gguf FILE` measures it.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")

    import llama_cpp
    from llama_cpp._ggml import libggml

    def note(level, text, _):
        if level == 4:  # GGML_LOG_LEVEL_ERROR of ggml.h
            _errors.append(text.decode(errors="replace").strip())

    _callbacks.append(llama_cpp.llama_log_callback(note))
    llama_cpp.llama_log_set(_callbacks[0], None)
    llama_cpp.llama_backend_init()
    # The bindings have no name for this; without it llama.cpp starts a debugger to print a trace.
    _callbacks.append(ctypes.CFUNCTYPE(None, ctypes.c_char_p)(_stopped))
    libggml.ggml_set_abort_callback(_callbacks[1])
    return llama_cpp


def _stopped(text):
    """Show the message; llama.cpp ends the process after this, because one of its checks failed."""
    print(
        f"\nError: llama.cpp stopped ({text.decode(errors='replace')}). The model's file is "
        "damaged, or llama.cpp does not know its format: remove the file and make it again\n",
        flush=True,
    )


def forget():
    """Drop llama.cpp's error messages so far: `reason` then gives those of the next call."""
    _errors.clear()


def reason():
    """llama.cpp's error messages since the last `forget`, in one line."""
    # Without the lines of equals signs around some of them.
    said = " ".join("; ".join(_errors).replace("==", "").split()) or "no reason given"
    _errors.clear()
    return said
