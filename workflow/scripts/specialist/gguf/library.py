"""The llama.cpp library: loaded once, and what it says of its errors."""

import functools

_errors = []  # llama.cpp's error messages since the last `reason`
_callbacks = []  # ctypes does not keep them alive


@functools.cache
def library():
    """The llama.cpp bindings, initialised once; their log is silent, for `reason`."""
    import llama_cpp

    def note(level, text, _):
        if level == 4:  # GGML_LOG_LEVEL_ERROR of ggml.h
            _errors.append(text.decode(errors="replace").strip())

    _callbacks.append(llama_cpp.llama_log_callback(note))
    llama_cpp.llama_log_set(_callbacks[0], None)
    llama_cpp.llama_backend_init()
    return llama_cpp


def reason():
    """What llama.cpp has said about errors since the last call, as one line."""
    said = "; ".join(_errors) or "no reason given"
    _errors.clear()
    return said
