# Included by llama.cpp's CMake project: the helpers of its own programs (argument parsing, chat templates, downloads) take two
# minutes to compile and nothing here calls them.
set(LLAMA_BUILD_COMMON OFF CACHE BOOL "" FORCE)
