#!/bin/bash
# get-qemu.sh DIR [ARCHITECTURE]: unpack Debian trixie's qemu-user (version 10, static) into DIR, installing nothing.
set -euo pipefail

(($# == 1 || $# == 2)) || { echo "usage: get-qemu.sh DIR [ARCHITECTURE]" >&2; exit 2; }
[[ -x $1/usr/bin/qemu-aarch64 ]] && exit 0
"$(dirname "$0")/unpack-debian.sh" trixie "${2:-$(dpkg --print-architecture)}" "$1" qemu-user
