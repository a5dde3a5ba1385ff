"""System V IPC: what semctl, shmctl and msgctl fill in (the "64" structures, which every C library uses).

Times have 64 bits everywhere: on 32-bit ABIs the upper halves are words of their own, in places that differ. Sources:
include/uapi/asm-generic/{ipcbuf,sembuf,shmbuf,msgbuf}.h and the same of arch/{x86,powerpc,mips}.
"""

from runtime.abi.layout import Int, Layout, PerBits, Size, UInt, ULong, UShort

_HIGH = PerBits(ULong, 1, 0)  # the upper half of a time, where a long has 32 bits


class ipc_perm(Layout):
    key: Int
    uid: UInt
    gid: UInt
    cuid: UInt
    cgid: UInt
    mode: UInt
    seq: UShort
    pad: UShort
    unused1: ULong
    unused2: ULong


class semid64_ds(Layout):
    perm: ipc_perm
    otime: ULong
    otime_high: PerBits = _HIGH
    ctime: ULong
    ctime_high: PerBits = _HIGH
    nsems: ULong
    unused3: ULong
    unused4: ULong


class semid64_ds_x86_64(Layout, of=semid64_ds, variant="x86_64"):
    perm: ipc_perm
    otime: ULong
    unused1: ULong
    ctime: ULong
    unused2: ULong
    nsems: ULong
    unused3: ULong
    unused4: ULong


class semid64_ds_mips(Layout, of=semid64_ds, variant="mips"):
    perm: ipc_perm
    otime: ULong
    ctime: ULong
    nsems: ULong
    otime_high: ULong
    ctime_high: ULong


class shmid64_ds(Layout):
    perm: ipc_perm
    segsz: Size
    atime: ULong
    atime_high: PerBits = _HIGH
    dtime: ULong
    dtime_high: PerBits = _HIGH
    ctime: ULong
    ctime_high: PerBits = _HIGH
    cpid: Int
    lpid: Int
    nattch: ULong
    unused4: ULong
    unused5: ULong


class shmid64_ds_ppc64(Layout, of=shmid64_ds, variant="ppc64"):
    perm: ipc_perm
    atime: ULong
    dtime: ULong
    ctime: ULong
    segsz: Size
    cpid: Int
    lpid: Int
    nattch: ULong
    unused5: ULong
    unused6: ULong


class shmid64_ds_mips(Layout, of=shmid64_ds, variant="mips"):
    perm: ipc_perm
    segsz: Size
    atime: ULong
    dtime: ULong
    ctime: ULong
    cpid: Int
    lpid: Int
    nattch: ULong
    atime_high: UShort
    dtime_high: UShort
    ctime_high: UShort
    unused1: UShort


class msqid64_ds(Layout):
    perm: ipc_perm
    stime: ULong
    stime_high: PerBits = _HIGH
    rtime: ULong
    rtime_high: PerBits = _HIGH
    ctime: ULong
    ctime_high: PerBits = _HIGH
    cbytes: ULong
    qnum: ULong
    qbytes: ULong
    lspid: Int
    lrpid: Int
    unused4: ULong
    unused5: ULong


class msqid64_ds_mips(Layout, of=msqid64_ds, variant="mips"):
    """The big-endian one: the upper halves come first."""

    perm: ipc_perm
    stime_high: ULong
    stime: ULong
    rtime_high: ULong
    rtime: ULong
    ctime_high: ULong
    ctime: ULong
    cbytes: ULong
    qnum: ULong
    qbytes: ULong
    lspid: Int
    lrpid: Int
    unused4: ULong
    unused5: ULong
