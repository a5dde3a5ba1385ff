#!/bin/bash
# install-packages.sh TARGET...: install the Debian packages that a target of the Makefile needs, only those missing.
#
# As root it installs them (apt-get update runs once, and only when something is missing). As an ordinary user, or with
# OCTAVO_NO_INSTALL set, it prints the command for root to run and fails. Where dpkg is not the package manager it
# trusts the machine and says nothing: a missing compiler then speaks for itself.
set -euo pipefail

usage() {
    echo "usage: install-packages.sh make|build|launcher|run|test|roots|hosts|check|bench ..." >&2
    exit 2
}

(($# > 0)) || usage
command -v dpkg-query >/dev/null || exit 0

python=${PYTHON:-python3}
wanted=()

# A Python from elsewhere brings its own venv module and headers; Debian's has them in packages of their own.
want_python() {
    command -v "$python" >/dev/null || wanted+=(python3 python3-venv python3-dev)
    command -v "$python" >/dev/null || return 0
    "$python" -c 'import ensurepip, venv' 2>/dev/null || wanted+=(python3-venv)
    "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' || wanted+=(python3-dev)
}

# C compilers for guest programs: the five foreign architectures; x86_64 programs come from the native one or its twin.
want_cross() {
    local name triple
    for name in arm64:aarch64-linux-gnu armhf:arm-linux-gnueabihf riscv64:riscv64-linux-gnu \
        ppc64el:powerpc64le-linux-gnu mips:mips-linux-gnu; do
        triple=${name#*:}
        wanted+=("gcc-$triple" "libc6-dev-${name%:*}-cross" "linux-libc-dev-${name%:*}-cross")
    done
    case $(dpkg --print-architecture) in
    amd64) wanted+=(gcc libc6-dev) ;;
    *) wanted+=(gcc libc6-dev gcc-x86-64-linux-gnu libc6-dev-amd64-cross) ;;
    esac
}

for target in "$@"; do
    case $target in
    make) wanted+=(make) ;;
    build)
        want_python
        wanted+=(g++ libc6-dev)
        ;;
    # Debian's own Python: its library as an archive is in no other
    launcher) wanted+=(g++ libc6-dev python3 libpython3-dev) ;;
    run) wanted+=(debootstrap debian-archive-keyring gpgv ca-certificates) ;;
    test)
        want_cross
        wanted+=(arch-test gdb-multiarch)
        ;;
    # the slow tests of foreign roots, which make them from Debian's archive
    roots)
        wanted+=(arch-test debootstrap mmdebstrap sbuild uidmap debian-archive-keyring ca-certificates)
        ;;
    # the hosts' programs come from Debian's archive too, but are not installed: packaging/tools/unpack-debian.sh
    hosts)
        want_cross
        wanted+=(g++-aarch64-linux-gnu qemu-system-arm debian-archive-keyring ca-certificates)
        # a kernel is built
        wanted+=(bc bison flex libc6-dev gcc make xz-utils)
        ;;
    check) wanted+=(clang-format) ;;
    bench)
        want_cross
        wanted+=(debootstrap debian-archive-keyring gpgv ca-certificates)
        ;;
    *) usage ;;
    esac
done

((${#wanted[@]} > 0)) || exit 0
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
    sed -n 's/^installed //p') || true
missing=()
for package in "${wanted[@]}"; do
    grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
((${#missing[@]} > 0)) || exit 0

if [[ $(id -u) != 0 || -n ${OCTAVO_NO_INSTALL:-} ]]; then
    {
        echo "missing Debian packages; as root, run:"
        echo "    apt-get install --no-install-recommends ${missing[*]}"
    } >&2
    exit 1
fi

echo "installing: ${missing[*]}" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y -o Dpkg::Use-Pty=0 install --no-install-recommends "${missing[@]}" >&2
