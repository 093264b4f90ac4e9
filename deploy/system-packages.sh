#!/bin/sh
# Install Debian packages where that is allowed: as root, or with sudo that asks for no password.
# What cannot be installed is no failure here: the tests that need it skip and say so.
#
#   system-packages.sh venv    what `python3 -m venv` needs
#   system-packages.sh tests   the real broker, camera server, encoder and browser that tests talk to
set -eu

case ${1:-} in
venv)
    packages="python3-venv" ;;
tests)
    packages="mosquitto mosquitto-clients ffmpeg
        gir1.2-gst-rtsp-server-1.0 python3-gi
        gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
        gstreamer1.0-libav
        chromium fonts-noto-cjk" ;;
*)
    echo "usage: $0 venv|tests" >&2
    exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    exit 0 # not Debian: what the tests find on the PATH is what they use
fi

missing=""
for package in $packages; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root="env"
elif sudo -n true 2>/dev/null; then
    as_root="sudo -n env"
else
    echo "not installed (no root, no sudo without password):$missing" >&2
    exit 0
fi

echo "installing:$missing" >&2
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# shellcheck disable=SC2086 # the lists are words
if ! { $as_root apt-get update &&
    $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing; } \
    >"$log" 2>&1; then
    tail -n 5 "$log" >&2
    echo "could not install:$missing" >&2
    exit 0
fi

# Debian starts a broker on port 1883 with the package; the tests start their own on free ports.
case $missing in
*" mosquitto"*)
    if [ -d /run/systemd/system ]; then
        $as_root systemctl disable --now mosquitto >/dev/null 2>&1 || true
    fi ;;
esac
