#!/usr/bin/env bash
# Makes everything ready to work on napari-clickseg, and does nothing where it already is.
#
#   tools/setup.sh python   .venv with the plugin (editable), napari, Qt and the developer's tools
#   tools/setup.sh system   the system libraries that a napari window needs
#
# PYTHON=... chooses the interpreter of a new environment (3.11 or newer). The Makefile says where
# the environment is (VENV), and of what: QT is pyqt6 or pyside6, VERSIONS pinned (by
# constraints.txt), lowest (that pyproject.toml allows), newest, or napari-main.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=${VENV:-.venv} QT=${QT:-pyqt6} VERSIONS=${VERSIONS:-pinned}
if [[ ${OS:-} == Windows_NT ]]; then readonly BIN=$VENV/Scripts; else readonly BIN=$VENV/bin; fi
readonly STAMP=$VENV/.clickseg-setup LOWEST=$VENV/lowest.txt
readonly PACKAGES=tools/debian-packages.txt

say() { printf 'setup: %s\n' "$*" >&2; }
die() {
    say "$*"
    exit 1
}

# An address, a proxy or a certificate that someone configured is kept; whatever else the
# machine's environment says about installing (a folder of stale wheels, a target, a
# constraint) would change what ends up in .venv, so it is dropped.
forget_foreign_settings() {
    local name
    for name in $(compgen -e); do
        case $name in
            PIP_INDEX_URL | PIP_CERT | PIP_CLIENT_CERT | PIP_PROXY | PIP_TRUSTED_HOST) ;;
            PIP_CACHE_DIR | PIP_DEFAULT_TIMEOUT | PIP_RETRIES) ;;
            PIP_*) unset "$name" ;;
            UV_FIND_LINKS | UV_NO_INDEX | UV_CONSTRAINT | UV_BUILD_CONSTRAINT) unset "$name" ;;
            UV_OVERRIDE | UV_EXCLUDE* | UV_PYTHON | UV_SYSTEM_PYTHON | UV_PRERELEASE) unset "$name" ;;
            UV_RESOLUTION | UV_INDEX_STRATEGY | UV_NO_BUILD* | UV_NO_BINARY*) unset "$name" ;;
            PYTHONHOME | PYTHONPATH | VIRTUAL_ENV | CONDA_PREFIX) unset "$name" ;;
        esac
    done
    export PIP_DISABLE_PIP_VERSION_CHECK=1
    # Some wheels are hundreds of megabytes.
    export UV_HTTP_TIMEOUT=${UV_HTTP_TIMEOUT:-300}
}

# `pip config get` answers "no such key" for some of what `pip config list` shows.
configured() {
    "$BIN/python" -m pip config list | sed -n "s/^global\.$1='\(.*\)'\$/\1/p" | tail -n 1
}

# uv does not read pip's configuration, but should use the same registry and certificates.
hand_pip_settings_to_uv() {
    local index=${PIP_INDEX_URL:-$(configured index-url)} cert=${PIP_CERT:-$(configured cert)}
    if [[ -n $index && -z ${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-} ]]; then
        export UV_DEFAULT_INDEX=$index
    fi
    if [[ -f $cert && -z ${SSL_CERT_FILE:-} ]]; then
        export SSL_CERT_FILE=$cert
    fi
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

find_python() {
    local candidate
    for candidate in ${PYTHON:-python3.11 python3.12 python3.13 python3 python}; do
        if is_new_enough "$candidate"; then
            command -v "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed; install it, or name one: PYTHON=/path/to/python3 make …"
}

as_root() {
    if [[ $(id -u) -eq 0 ]]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        return 1
    fi
}

apt_install() {
    command -v apt-get >/dev/null || return 1
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq || true
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "$@" \
        >&2
}

make_venv() {
    local python
    python=$(find_python)
    say "creating $VENV with $python"
    # Debian keeps venv's pip in a package of its own.
    if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
        apt_install python3-venv \
            || die "Python's venv module is needed; as root: apt-get install python3-venv"
    fi
    "$python" -m venv --clear "$VENV"
}

# Changes whenever the environment has to be brought up to date, or was moved.
fingerprint() {
    {
        pwd -P
        echo "$QT $VERSIONS"
        "$BIN/python" --version
        cat pyproject.toml constraints.txt tools/setup.sh
    } | cksum
}

uv_pip() { "$BIN/python" -m uv pip "$@" --python "$BIN/python"; }

# What the plugin needs, with a Qt binding, in the versions that were asked for.
install_plugin() {
    local napari=() versions=()
    case $QT in
        pyqt6) napari=("napari[all]") ;;
        pyside6) napari=("napari[optional,pyside6]") ;;
        *) die "QT is pyqt6 or pyside6, not $QT" ;;
    esac
    case $VERSIONS in
        pinned) versions=(--constraint constraints.txt) ;;
        lowest)
            # Of what the plugin asks for itself; the developer's tools may be newer.
            printf '%s\n' "${napari[@]}" >"$LOWEST.in"
            uv_pip compile --quiet --resolution lowest-direct --extra cluster \
                --output-file "$LOWEST" pyproject.toml "$LOWEST.in"
            versions=(--constraint "$LOWEST")
            ;;
        newest) versions=(--upgrade) ;;
        napari-main)
            napari=("${napari[0]} @ git+https://github.com/napari/napari@main")
            versions=(--upgrade)
            ;;
        *) die "VERSIONS is pinned, lowest, newest or napari-main, not $VERSIONS" ;;
    esac
    # Compiled once here, each process of the tests starts in half of the time; not all machines
    # let Python keep what it compiles.
    uv_pip install --compile-bytecode "${versions[@]}" --group dev "${napari[@]}" --editable .
}

setup_python() {
    if [[ -x $BIN/clickseg && -f $STAMP && $(fingerprint) == "$(<"$STAMP")" ]]; then
        return
    fi
    forget_foreign_settings
    # An interpreter that no longer runs (the folder was moved, Python was updated) is of no use.
    "$BIN/python" -m pip --version >/dev/null 2>&1 || make_venv
    hand_pip_settings_to_uv
    if ! "$BIN/python" -m uv --version >/dev/null 2>&1; then
        say "installing uv"
        "$BIN/python" -m pip install --quiet --constraint constraints.txt uv
    fi
    say "installing napari-clickseg and its developer's tools (the first time takes minutes)"
    install_plugin
    fingerprint >"$STAMP"
}

have_screen() {
    command -v xvfb-run >/dev/null || [[ -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]]
}

setup_system() {
    local package missing=()
    [[ $(uname -s) == Linux ]] || return 0
    if ! command -v dpkg-query >/dev/null; then
        have_screen || die "Xvfb and the libraries of $PACKAGES are needed; install them"
        return 0
    fi
    while read -r package; do
        [[ $package == '#'* ]] && continue
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] \
            || missing+=("$package")
    done <"$PACKAGES"
    [[ ${#missing[@]} -gt 0 ]] || return 0
    say "installing system libraries: ${missing[*]}"
    apt_install "${missing[@]}" && return 0
    say "system libraries are missing; as root: apt-get install ${missing[*]}"
    have_screen
}

case ${1:-} in
    python) setup_python ;;
    system) setup_system ;;
    *) die "usage: tools/setup.sh python|system" ;;
esac
