#!/bin/sh
# Makes sure that what llama.cpp's build needs is there: installs it where it may, otherwise says what to do.
set -eu

missing=""
command -v cmake >/dev/null 2>&1 || missing="$missing cmake"
command -v c++ >/dev/null 2>&1 || missing="$missing g++"
# bindgen loads libclang at build time, and needs clang's own headers beside it.
has_libclang() {
    [ -n "${LIBCLANG_PATH:-}" ] && return
    # The names that bindgen looks for: libclang-cpp.so, which comes without the headers, is another library.
    for file in /usr/lib/llvm-*/lib/libclang.so* /usr/lib/llvm-*/lib/libclang-[0-9]*.so* /usr/lib/*/libclang.so* \
        /usr/lib/*/libclang-[0-9]*.so* /usr/lib64/libclang.so* \
        /opt/homebrew/opt/llvm/lib/libclang.dylib /Library/Developer/CommandLineTools/usr/lib/libclang.dylib; do
        [ -e "$file" ] && return
    done
    return 1
}
has_libclang || missing="$missing clang libclang-dev"
if [ -n "$missing" ]; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        echo "installing:$missing" >&2
        apt-get update -q >/dev/null
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q $missing >/dev/null
    else
        echo "error: building llama.cpp needs:$missing" >&2
        echo "hint: on Debian or Ubuntu: sudo apt-get install$missing" >&2
        echo "      on Fedora: sudo dnf install cmake gcc-c++ clang-devel; on macOS: xcode-select --install && brew install cmake" >&2
        exit 1
    fi
fi

# A database server, for tests of stores that several machines share; without one they say that they are skipped.
if ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 && ! command -v initdb >/dev/null 2>&1; then
    if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
        echo "installing: postgresql" >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql >/dev/null ||
            echo "note: PostgreSQL could not be installed; stores in a server are not tested" >&2
    else
        echo "note: there is no PostgreSQL here; stores in a server are not tested" >&2
        echo "hint: on Debian or Ubuntu: sudo apt-get install postgresql" >&2
    fi
fi

if ! command -v cargo >/dev/null 2>&1; then
    echo "error: cargo was not found" >&2
    echo "hint: install Rust from https://rustup.rs" >&2
    exit 1
fi

# Speech is optional: without the program, `speak` says what is missing.
if ! command -v espeak-ng >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "installing: espeak-ng" >&2
    if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends espeak-ng >/dev/null; then
        echo "note: espeak-ng cannot be installed; \`sojourn speak\` needs it" >&2
    fi
fi
