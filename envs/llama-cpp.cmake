# Builds llama.cpp as the runtime library alone. llama-cpp-python switches the code that
# llama.cpp's programs share ("common") on in the cache; a plain variable goes before it.
set(LLAMA_BUILD_COMMON OFF)
set(LLAMA_BUILD_APP OFF)
set(LLAMA_BUILD_EXAMPLES OFF)
set(LLAMA_BUILD_SERVER OFF)
set(LLAMA_BUILD_TESTS OFF)
set(LLAMA_BUILD_TOOLS OFF)
set(LLAMA_OPENSSL OFF)
set(LLAVA_BUILD OFF) # multimodal
