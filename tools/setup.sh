#!/usr/bin/env bash
# Makes everything ready to work on napari-clickseg, and does nothing where it already is.
#
#   tools/setup.sh python   .venv with the plugin (editable), napari, Qt and the developer's tools
#   tools/setup.sh plugin   VENV with the plugin as users install it, and all its extras
#   tools/setup.sh system   the system libraries that a napari window needs
#   tools/setup.sh desktop  what shows napari in a browser, see tools/desktop.sh
#
# PYTHON=... chooses the interpreter of a new environment (3.11 or newer). The Makefile and the
# Dockerfile say where the environment is (VENV), and of what: QT is pyqt6, pyside6 or none,
# VERSIONS pinned (by constraints.txt), lowest (that pyproject.toml allows), newest, or
# napari-main. UV_TORCH_BACKEND is uv's: cpu leaves CUDA out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly VENV=${VENV:-.venv} QT=${QT:-pyqt6} VERSIONS=${VERSIONS:-pinned}
if [[ ${OS:-} == Windows_NT ]]; then readonly BIN=$VENV/Scripts; else readonly BIN=$VENV/bin; fi
readonly STAMP=$VENV/.clickseg-setup LOWEST=$VENV/lowest.txt
readonly PACKAGES=tools/debian-packages.txt DESKTOP_PACKAGES=tools/debian-desktop.txt
readonly EXTRAS=cluster,formats,imagenet,microscopes,onnx,video

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
    # Empty, it would be a backend of no name.
    [[ -n ${UV_TORCH_BACKEND:-} ]] || unset UV_TORCH_BACKEND
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

# napari with the Qt binding that was asked for.
napari_with_qt() {
    case $QT in
        pyqt6) echo "napari[all]" ;;
        pyside6) echo "napari[optional,pyside6]" ;;
        none) echo "napari" ;;
        *) die "QT is pyqt6, pyside6 or none, not $QT" ;;
    esac
}

# What the plugin needs, with a Qt binding, in the versions that were asked for.
install_plugin() {
    local napari=() versions=()
    napari=("$(napari_with_qt)")
    case $VERSIONS in
        pinned) versions=(--constraint constraints.txt) ;;
        lowest)
            # Of what the plugin asks for itself; the developer's tools may be newer.
            printf '%s\n' "${napari[@]}" >"$LOWEST.in"
            uv_pip compile --quiet --upgrade --resolution lowest-direct \
                --extra cluster --extra formats --output-file "$LOWEST" pyproject.toml "$LOWEST.in"
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

make_ready_to_install() {
    forget_foreign_settings
    # An interpreter that no longer runs (the folder was moved, Python was updated) is of no use.
    "$BIN/python" -m pip --version >/dev/null 2>&1 || make_venv
    hand_pip_settings_to_uv
    if ! "$BIN/python" -m uv --version >/dev/null 2>&1; then
        say "installing uv"
        "$BIN/python" -m pip install --quiet --constraint constraints.txt uv
    fi
}

setup_python() {
    if [[ -x $BIN/clickseg && -f $STAMP && $(fingerprint) == "$(<"$STAMP")" ]]; then
        return
    fi
    make_ready_to_install
    say "installing napari-clickseg and its developer's tools (the first time takes minutes)"
    install_plugin
    fingerprint >"$STAMP"
}

setup_plugin() {
    local napari
    napari=$(napari_with_qt)
    make_ready_to_install
    say "installing napari-clickseg with all its extras"
    uv_pip install --compile-bytecode --constraint constraints.txt "$napari" ".[$EXTRAS]"
}

have_screen() {
    command -v xvfb-run >/dev/null || [[ -n ${DISPLAY:-}${WAYLAND_DISPLAY:-} ]]
}

# Installs those packages of a list that are missing; fails where it can't.
install_listed() {
    local package missing=()
    while read -r package; do
        [[ $package == '#'* ]] && continue
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] \
            || missing+=("$package")
    done <"$1"
    [[ ${#missing[@]} -gt 0 ]] || return 0
    say "installing from Debian: ${missing[*]}"
    apt_install "${missing[@]}" && return 0
    say "packages are missing; as root: apt-get install ${missing[*]}"
    return 1
}

setup_system() {
    [[ $(uname -s) == Linux ]] || return 0
    if ! command -v dpkg-query >/dev/null; then
        have_screen || die "Xvfb and the libraries of $PACKAGES are needed; install them"
        return 0
    fi
    install_listed "$PACKAGES" || have_screen
}

setup_desktop() {
    command -v dpkg-query >/dev/null \
        || die "install noVNC, websockify, openbox and TigerVNC's server, then run tools/desktop.sh"
    install_listed "$DESKTOP_PACKAGES"
}

case ${1:-} in
    python) setup_python ;;
    plugin) setup_plugin ;;
    system) setup_system ;;
    desktop) setup_desktop ;;
    *) die "usage: tools/setup.sh python|plugin|system|desktop" ;;
esac
