#!/bin/bash
# unpack-debian.sh SUITE ARCHITECTURE DIR PACKAGE...: unpack Debian packages into DIR, installing nothing.
#
# apt does the download with a configuration of its own: its lists and cache are under DIR, its one source is this
# machine's Debian mirror with SUITE as the suite. The system's own apt state is not touched. Only the packages named
# are unpacked, not what they depend on; PACKAGE+ is what PACKAGE, a metapackage, depends on first. Nothing is done when
# DIR has them all already.
set -euo pipefail

(($# >= 4)) || { echo "usage: unpack-debian.sh SUITE ARCHITECTURE DIR PACKAGE..." >&2; exit 2; }
suite=$1 architecture=$2
mkdir -p "$3"
dir=$(cd "$3" && pwd)
shift 3
stamp=$dir/.unpacked
[[ -e $stamp && $(<"$stamp") == "$suite $architecture $*" ]] && exit 0

# both formats of sources (sources.list(5)); the main archive's address ends in /debian
mirror=$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null || true; } |
    sed -nE 's#^(deb |URIs:)(.*[[:space:]])?((https?|file):[^[:space:]]*/debian)/?([[:space:]].*)?$#\3#p' | head -1)
[[ -n $mirror ]] || { echo "unpack-debian: apt here has no Debian mirror" >&2; exit 1; }

apt_dir=$dir/apt
mkdir -p "$apt_dir"/{lists/partial,cache/archives/partial,empty}
touch "$apt_dir/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$apt_dir/sources.list"
options=(
    -qq
    -o "APT::Architecture=$architecture"
    -o "APT::Architectures=$architecture"
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
packages=()
for package in "$@"; do
    if [[ $package == *+ && $package != *++ ]]; then
        package=$(apt-cache "${options[@]}" depends "${package%+}" | sed -nE 's/^ *Depends: ([^< ]+)$/\1/p' | head -1)
        [[ -n $package ]] || { echo "unpack-debian: nothing that a metapackage depends on" >&2; exit 1; }
    fi
    packages+=("$package")
done
(cd "$apt_dir/cache" && apt-get "${options[@]}" download "${packages[@]}")
for archive in "$apt_dir"/cache/*.deb; do
    dpkg-deb -x "$archive" "$dir"
done
rm -rf "$apt_dir"
echo "$suite $architecture $*" >"$stamp"
