#!/bin/busybox sh
# The first process of the virtual machine: what a booted Linux has mounted, then the tests, then off.
/bin/busybox --install -s /bin
export PATH=/octavo/bin:/usr/bin:/bin HOME=/ LANG=C
# a virtual machine without the processor's help: everything takes ten times as long
export GUEST_TEST_PATIENCE=10 OCTAVO_GUEST_TIMEOUT=600
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm /tmp /var/tmp
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=1777 tmpfs /tmp
ip link set lo up
hostname host
cd /octavo && python3 -m tests.hosts.inside /jobs.json
poweroff -f
