#!/usr/bin/env bash
# Shows napari in a browser: a screen in memory, a window manager, and noVNC in front of it.
#
#   tools/desktop.sh [PROGRAM [ARGUMENT ...]]    napari, unless another program is named
#
# It ends when the program does. PORT (6080) is where the browser finds it, LISTEN who may ask
# (127.0.0.1: this machine alone), SCREEN its size (1600x1000; it follows the browser's window),
# and VNC_PASSWORD, where it is set, is asked for.
set -euo pipefail

readonly PORT=${PORT:-6080} LISTEN=${LISTEN:-127.0.0.1} SCREEN=${SCREEN:-1600x1000}
readonly PAGES=${NOVNC:-/usr/share/novnc}
readonly HERE=$(mktemp -d)

die() {
    printf 'desktop: %s\n' "$*" >&2
    exit 1
}

# Each of them has a group of its own (set -m), with what it started itself.
stop() {
    local job
    for job in $(jobs -p); do
        kill -- "-$job" 2>/dev/null || true
    done
    sleep 0.5
    for job in $(jobs -p); do
        kill -KILL -- "-$job" 2>/dev/null || true
    done
    rm -rf "$HERE"
}

check_tools() {
    local tool
    for tool in Xvnc openbox websockify; do
        command -v "$tool" >/dev/null \
            || die "$tool is missing; run tools/setup.sh desktop, or install novnc, openbox and tigervnc"
    done
    [[ -f $PAGES/vnc.html ]] || die "$PAGES has no vnc.html; install novnc, or say where it is (NOVNC)"
}

# A display that is free: Xvnc looks for one itself, and writes its number.
start_screen() {
    local security=(-SecurityTypes None)
    if [[ -n ${VNC_PASSWORD:-} ]]; then
        command -v vncpasswd >/dev/null || die "vncpasswd is missing; install tigervnc-tools"
        printf '%s\n' "$VNC_PASSWORD" | vncpasswd -f >"$HERE/password"
        security=(-SecurityTypes VncAuth -PasswordFile "$HERE/password")
    fi
    mkfifo "$HERE/number"
    # The browser's side talks to a socket that nobody else can open.
    Xvnc -displayfd 3 -geometry "$SCREEN" -depth 24 "${security[@]}" -rfbunixpath "$HERE/vnc" \
        -rfbunixmode 0600 -rfbport -1 -nolisten tcp -AlwaysShared 3>"$HERE/number" \
        >"$HERE/screen.log" 2>&1 &
    local number
    read -r -t 30 number <"$HERE/number" || die "no screen: $(tail -n 1 "$HERE/screen.log")"
    export DISPLAY=:$number
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null; }

[[ $PORT =~ ^[0-9]{1,5}$ ]] && ((PORT > 0 && PORT < 65536)) || die "PORT is 1 to 65535, not $PORT"
check_tools
answers && die "something answers on port $PORT already; choose another one (PORT)"
trap stop EXIT
trap 'exit 143' TERM INT HUP
set -m
start_screen
openbox >"$HERE/openbox.log" 2>&1 &
websockify --web "$PAGES" --unix-target "$HERE/vnc" "$LISTEN:$PORT" >"$HERE/web.log" 2>&1 &
readonly WEB=$!
until answers; do
    kill -0 "$WEB" 2>/dev/null || die "port $PORT cannot be used: $(tail -n 1 "$HERE/web.log")"
    sleep 0.2
done
printf 'desktop: http://localhost:%s/vnc.html?autoconnect=1&resize=remote\n' "$PORT"
unset WAYLAND_DISPLAY
"${@:-napari}" &
wait $!
