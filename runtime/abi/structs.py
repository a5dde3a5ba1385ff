"""The structures that system calls pass, declared once with the kernel's field names (include/uapi, asm/*.h).

The first declaration is the asm-generic one; a variant of an ABI follows it and is named in that ABI's DataModel. Time
structures have 64-bit seconds; the variant "time32" is the old one of 32-bit ABIs, asked for by the table row.
"""

from runtime.abi.layout import (
    I64,
    U8,
    U16,
    U32,
    U64,
    Array,
    Char,
    Int,
    Layout,
    Long,
    Off,
    PerBits,
    Pointer,
    Short,
    Size,
    UInt,
    ULong,
    UShort,
    array,
    per_bits,
)

# --- time ------------------------------------------------------------------------------------------------------------


class timespec(Layout):
    """struct __kernel_timespec. On 32-bit ABIs the upper half of tv_nsec is padding (kernel get_timespec64)."""

    tv_sec: I64
    tv_nsec: I64


class timespec_time32(Layout, of=timespec, variant="time32"):
    tv_sec: Int
    tv_nsec: Int


class timeval(Layout):
    """struct __kernel_old_timeval: longs, on every ABI."""

    tv_sec: Long
    tv_usec: Long


class itimerval(Layout):
    it_interval: timeval
    it_value: timeval


class tms(Layout):
    tms_utime: Long
    tms_stime: Long
    tms_cutime: Long
    tms_cstime: Long


class rusage(Layout):
    """struct rusage with its two timevals spelt out."""

    ru_utime_sec: Long
    ru_utime_usec: Long
    ru_stime_sec: Long
    ru_stime_usec: Long
    ru_maxrss: Long
    ru_ixrss: Long
    ru_idrss: Long
    ru_isrss: Long
    ru_minflt: Long
    ru_majflt: Long
    ru_nswap: Long
    ru_inblock: Long
    ru_oublock: Long
    ru_msgsnd: Long
    ru_msgrcv: Long
    ru_nsignals: Long
    ru_nvcsw: Long
    ru_nivcsw: Long


# --- files -----------------------------------------------------------------------------------------------------------


class stat(Layout):
    """struct stat of asm-generic/stat.h, 64-bit (aarch64, riscv64)."""

    st_dev: ULong
    st_ino: ULong
    st_mode: UInt
    st_nlink: UInt
    st_uid: UInt
    st_gid: UInt
    st_rdev: ULong
    __pad1: ULong
    st_size: Long
    st_blksize: Int
    __pad2: Int
    st_blocks: Long
    st_atime: Long
    st_atime_nsec: ULong
    st_mtime: Long
    st_mtime_nsec: ULong
    st_ctime: Long
    st_ctime_nsec: ULong
    __unused4: UInt
    __unused5: UInt


class stat_x86_64(Layout, of=stat, variant="x86_64"):
    st_dev: ULong
    st_ino: ULong
    st_nlink: ULong
    st_mode: UInt
    st_uid: UInt
    st_gid: UInt
    __pad0: UInt
    st_rdev: ULong
    st_size: Long
    st_blksize: Long
    st_blocks: Long
    st_atime: ULong
    st_atime_nsec: ULong
    st_mtime: ULong
    st_mtime_nsec: ULong
    st_ctime: ULong
    st_ctime_nsec: ULong
    __unused: Array = array(Long, 3)


class stat_ppc64(Layout, of=stat, variant="ppc64"):
    st_dev: ULong
    st_ino: ULong
    st_nlink: ULong
    st_mode: UInt
    st_uid: UInt
    st_gid: UInt
    st_rdev: ULong
    st_size: Long
    st_blksize: ULong
    st_blocks: ULong
    st_atime: ULong
    st_atime_nsec: ULong
    st_mtime: ULong
    st_mtime_nsec: ULong
    st_ctime: ULong
    st_ctime_nsec: ULong
    __unused: Array = array(ULong, 3)


class stat_arm(Layout, of=stat, variant="arm"):
    st_dev: ULong
    st_ino: ULong
    st_mode: UShort
    st_nlink: UShort
    st_uid: UShort
    st_gid: UShort
    st_rdev: ULong
    st_size: ULong
    st_blksize: ULong
    st_blocks: ULong
    st_atime: ULong
    st_atime_nsec: ULong
    st_mtime: ULong
    st_mtime_nsec: ULong
    st_ctime: ULong
    st_ctime_nsec: ULong
    __unused: Array = array(ULong, 2)


class stat_mips(Layout, of=stat, variant="mips"):
    st_dev: UInt
    st_pad1: Array = array(Long, 3)
    st_ino: ULong
    st_mode: UInt
    st_nlink: UInt
    st_uid: UInt
    st_gid: UInt
    st_rdev: UInt
    st_pad2: Array = array(Long, 2)
    st_size: Long
    st_pad3: Long
    st_atime: Long
    st_atime_nsec: Long
    st_mtime: Long
    st_mtime_nsec: Long
    st_ctime: Long
    st_ctime_nsec: Long
    st_blksize: Long
    st_blocks: Long
    st_pad4: Array = array(Long, 14)


class stat64(Layout):
    """struct stat64 of arm; 32-bit ABIs only."""

    st_dev: U64
    __pad0: Array = array(U8, 4)
    __st_ino: ULong
    st_mode: UInt
    st_nlink: UInt
    st_uid: ULong
    st_gid: ULong
    st_rdev: U64
    __pad3: Array = array(U8, 4)
    st_size: I64
    st_blksize: ULong
    st_blocks: U64
    st_atime: ULong
    st_atime_nsec: ULong
    st_mtime: ULong
    st_mtime_nsec: ULong
    st_ctime: ULong
    st_ctime_nsec: ULong
    st_ino: U64


class stat64_mips(Layout, of=stat64, variant="mips"):
    st_dev: ULong
    st_pad0: Array = array(ULong, 3)
    st_ino: U64
    st_mode: UInt
    st_nlink: UInt
    st_uid: UInt
    st_gid: UInt
    st_rdev: ULong
    st_pad1: Array = array(ULong, 3)
    st_size: I64
    st_atime: Long
    st_atime_nsec: ULong
    st_mtime: Long
    st_mtime_nsec: ULong
    st_ctime: Long
    st_ctime_nsec: ULong
    st_blksize: ULong
    st_pad2: ULong
    st_blocks: I64


class statfs(Layout):
    f_type: Long
    f_bsize: Long
    f_blocks: Long
    f_bfree: Long
    f_bavail: Long
    f_files: Long
    f_ffree: Long
    f_fsid: Array = array(Int, 2)
    f_namelen: Long
    f_frsize: Long
    f_flags: Long
    f_spare: Array = array(Long, 4)


class statfs_mips(Layout, of=statfs, variant="mips"):
    f_type: Long
    f_bsize: Long
    f_frsize: Long
    f_blocks: Long
    f_bfree: Long
    f_files: Long
    f_ffree: Long
    f_bavail: Long
    f_fsid: Array = array(Int, 2)
    f_namelen: Long
    f_flags: Long
    f_spare: Array = array(Long, 5)


class statfs64(Layout):
    f_type: Long
    f_bsize: Long
    f_blocks: U64
    f_bfree: U64
    f_bavail: U64
    f_files: U64
    f_ffree: U64
    f_fsid: Array = array(Int, 2)
    f_namelen: Long
    f_frsize: Long
    f_flags: Long
    f_spare: Array = array(Long, 4)


class statfs64_arm(Layout, of=statfs64, variant="arm", packed=4):
    """ARCH_PACK_STATFS64: without the padding EABI would put at the end."""

    f_type: Long
    f_bsize: Long
    f_blocks: U64
    f_bfree: U64
    f_bavail: U64
    f_files: U64
    f_ffree: U64
    f_fsid: Array = array(Int, 2)
    f_namelen: Long
    f_frsize: Long
    f_flags: Long
    f_spare: Array = array(Long, 4)


class statfs64_mips(Layout, of=statfs64, variant="mips"):
    f_type: U32
    f_bsize: U32
    f_frsize: U32
    __pad: U32
    f_blocks: U64
    f_bfree: U64
    f_files: U64
    f_ffree: U64
    f_bavail: U64
    f_fsid: Array = array(Int, 2)
    f_namelen: U32
    f_flags: U32
    f_spare: Array = array(U32, 5)


class flock(Layout):
    l_type: Short
    l_whence: Short
    l_start: Off
    l_len: Off
    l_pid: Int


class flock_mips(Layout, of=flock, variant="mips"):
    l_type: Short
    l_whence: Short
    l_start: Off
    l_len: Off
    l_sysid: Long
    l_pid: Int
    pad: Array = array(Long, 4)


class flock64(Layout):
    l_type: Short
    l_whence: Short
    l_start: I64
    l_len: I64
    l_pid: Int


class epoll_event(Layout):
    events: U32
    data: U64


class epoll_event_packed(Layout, of=epoll_event, variant="packed", packed=1):
    events: U32
    data: U64


class iovec(Layout):
    iov_base: Pointer
    iov_len: Size


class msghdr(Layout):
    msg_name: Pointer
    msg_namelen: Int
    msg_iov: Pointer
    msg_iovlen: Size
    msg_control: Pointer
    msg_controllen: Size
    msg_flags: UInt


class pollfd(Layout):
    fd: Int
    events: Short
    revents: Short


class winsize(Layout):
    ws_row: U16
    ws_col: U16
    ws_xpixel: U16
    ws_ypixel: U16


# --- processes and signals -------------------------------------------------------------------------------------------


class clone_args(Layout):
    flags: U64
    pidfd: U64
    child_tid: U64
    parent_tid: U64
    exit_signal: U64
    stack: U64
    stack_size: U64
    tls: U64
    set_tid: U64
    set_tid_size: U64
    cgroup: U64


class sigaction(Layout):
    """The kernel's struct sigaction where the ABI has sa_restorer (asm-generic with SA_RESTORER)."""

    sa_handler: Pointer
    sa_flags: ULong
    sa_restorer: Pointer
    sa_mask: Array = array(U8, 8)


class sigaction_plain(Layout, of=sigaction, variant="plain"):
    """Without sa_restorer (riscv)."""

    sa_handler: Pointer
    sa_flags: ULong
    sa_mask: Array = array(U8, 8)


class sigaction_mips(Layout, of=sigaction, variant="mips"):
    sa_flags: UInt
    sa_handler: Pointer
    sa_mask: Array = array(U8, 16)


class old_sigaction(Layout):
    """struct old_sigaction: a mask of one long (arm)."""

    sa_handler: Pointer
    sa_mask: ULong
    sa_flags: ULong
    sa_restorer: Pointer


class old_sigaction_mips(Layout, of=old_sigaction, variant="mips"):
    """struct sigaction of mips, of whose mask the old call reads the first long."""

    sa_flags: UInt
    sa_handler: Pointer
    sa_mask: ULong
    sa_rest: Array = array(U8, 12)


class stack_t(Layout):
    ss_sp: Pointer
    ss_flags: Int
    ss_size: Size


class stack_t_mips(Layout, of=stack_t, variant="mips"):
    ss_sp: Pointer
    ss_size: Size
    ss_flags: Int


class sigevent(Layout):
    sigev_value: Pointer
    sigev_signo: Int
    sigev_notify: Int
    sigev_notify_thread_id: Int


class rlimit(Layout):
    rlim_cur: ULong
    rlim_max: ULong


class rlimit64(Layout):
    rlim_cur: U64
    rlim_max: U64


class utsname(Layout):
    sysname: Array = array(Char, 65)
    nodename: Array = array(Char, 65)
    release: Array = array(Char, 65)
    version: Array = array(Char, 65)
    machine: Array = array(Char, 65)
    domainname: Array = array(Char, 65)


class sysinfo(Layout):
    uptime: Long
    loads: Array = array(ULong, 3)
    totalram: ULong
    freeram: ULong
    sharedram: ULong
    bufferram: ULong
    totalswap: ULong
    freeswap: ULong
    procs: U16
    pad: U16
    totalhigh: ULong
    freehigh: ULong
    mem_unit: UInt
    _f: PerBits = per_bits(Char, 8, 0)


class robust_list_head(Layout):
    list: Pointer
    futex_offset: Long
    list_op_pending: Pointer
