# SPDX-License-Identifier: MIT
# Run as PID 1 of its own namespaces: make a root of an overlay over the
# machine's, install the wheel into it, and become systemd.
# sh init.sh STAGE CGROUPS; everything is gone with the mount namespace.
set -eu
stage=$1 cgroups=$2
hidden() { mount -t tmpfs -o "$2" tmpfs "$1"; }

mount --make-rprivate /
mkdir -p "$stage/lay"
hidden "$stage/lay" mode=755,size=1g
root=$stage/lay/root
mkdir "$stage/lay/up" "$stage/lay/work" "$root"
mount -t overlay -o "lowerdir=/,upperdir=$stage/lay/up,workdir=$stage/lay/work" overlay "$root"
mkdir -p "$root/opt/stage"
mount --bind "$stage/give" "$root/opt/stage"
cd "$root"

mount -t proc proc proc
# Else systemd would set those of the machine.
mount --bind proc/sys proc/sys
mount -o remount,ro,bind proc/sys
mount -t sysfs -o ro sysfs sys
hidden dev mode=755
hidden run mode=755
hidden tmp mode=1777
for node in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "dev/${node%:*}" c 1 "${node#*:}"
done
mknod -m 666 dev/tty c 5 0
mknod -m 666 dev/probe c 1 5 # no service with PrivateDevices sees it
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
: >dev/kmsg

if [ "$cgroups" = 2 ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    hidden sys/fs/cgroup mode=755
    mkdir sys/fs/cgroup/systemd sys/fs/cgroup/unified
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
    mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
    for name in cpu cpuacct memory pids devices freezer blkio; do
        mkdir "sys/fs/cgroup/$name"
        mount -t cgroup -o "$name" cgroup "sys/fs/cgroup/$name" ||
            rmdir "sys/fs/cgroup/$name"
    done
fi

chroot . sh /opt/stage/install.sh
hostname spooler-bench
ip link set lo up 2>/dev/null || true
for unit in systemd-sysctl systemd-timesyncd systemd-udevd systemd-resolved \
    systemd-networkd; do
    ln -sf /dev/null "etc/systemd/system/$unit.service"
done
mkdir -p .old
pivot_root . .old
umount -l /.old
exec env -i container=bench PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --unit=basic.target --log-target=journal \
    </dev/null >/dev/null 2>&1
