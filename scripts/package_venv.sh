# Sourced by scripts that need a Python package: `package_venv PACKAGE VERSION [FURTHER…]` sets `venv` to an environment in the user's
# cache directory that has it, and installs it there at the first use. Returns 3 if it cannot be had.
package_venv() {
    package=$1
    version=$2
    shift 2
    venv="${XDG_CACHE_HOME:-$HOME/.cache}/sojourn/$package-$version"
    [ -e "$venv/ready" ] && return
    echo "installing $package $version into $venv" >&2
    if ! { python3 -m venv "$venv" && "$venv/bin/pip" install --quiet --disable-pip-version-check "$package==$version" "$@"; } >&2; then
        rm -rf "$venv"
        echo "$package cannot be installed: offline, or no python3 with venv" >&2
        return 3
    fi
    : >"$venv/ready"
}
