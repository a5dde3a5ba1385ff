#!/bin/bash
# get-qemu.sh DIR: unpack Debian trixie's qemu-user (version 10, static) into DIR, installing nothing.
#
# apt does the download with a configuration of its own: its lists and cache are under DIR, its one source is this
# machine's Debian mirror with trixie as the suite. The system's own apt state is not touched.
set -euo pipefail

(($# == 1)) || { echo "usage: get-qemu.sh DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[[ -x $dir/usr/bin/qemu-aarch64 ]] && exit 0

# both formats of sources (sources.list(5)); the main archive's address ends in /debian
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
    sed -nE 's#^(deb |URIs:)(.*[[:space:]])?((https?|file):[^[:space:]]*/debian)/?([[:space:]].*)?$#\3#p' | head -1)
[[ -n $mirror ]] || { echo "get-qemu: apt here has no Debian mirror" >&2; exit 1; }

apt_dir=$dir/apt
mkdir -p "$apt_dir"/{lists/partial,cache/archives/partial,empty}
touch "$apt_dir/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$apt_dir/sources.list"
options=(
    -qq
    -o "Dir::Etc::SourceList=$apt_dir/sources.list"
    -o "Dir::Etc::SourceParts=$apt_dir/empty"
    -o "Dir::Etc::Preferences=/dev/null"
    -o "Dir::Etc::PreferencesParts=$apt_dir/empty"
    -o "Dir::State=$apt_dir"
    -o "Dir::State::Lists=$apt_dir/lists"
    -o "Dir::State::Status=$apt_dir/status"
    -o "Dir::Cache=$apt_dir/cache"
    -o "APT::Sandbox::User="
    -o "Acquire::Languages=none"
)
apt-get "${options[@]}" update
(cd "$apt_dir/cache" && apt-get "${options[@]}" download qemu-user)
dpkg-deb -x "$apt_dir"/cache/qemu-user_*.deb "$dir"
rm -rf "$apt_dir"
"$dir/usr/bin/qemu-aarch64" --version | head -1
