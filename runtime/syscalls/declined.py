"""What answers ENOSYS on purpose, and why. Programs have a way without these; `octavo syscalls` shows the reasons."""

from runtime.syscalls.registry import DECLINED

_ASYNC = "asynchronous requests carry guest addresses that the host would use as its own; programs fall back to epoll"
_MEMORY_POLICY = "placement of memory on nodes is the host's; the arena is one mapping to it"
_PROCESSOR = "a facility of the real processor that the engine does not have"
_KEYS = "the host's keyrings are not the guest's"
_OLD = "removed from Linux, or never there for current programs"

DECLINED.update(
    {
        "ni_syscall": "the kernel itself answers ENOSYS",
        **dict.fromkeys(("io_uring_setup", "io_uring_enter", "io_uring_register"), _ASYNC),
        **dict.fromkeys(
            ("io_setup", "io_destroy", "io_submit", "io_cancel", "io_getevents", "io_pgetevents"),
            _ASYNC,
        ),
        "userfaultfd": "page faults are the engine's, the host never sees them",
        "bpf": "programs and maps would see host structures",
        "perf_event_open": "would count Octavo's instructions, not the guest's",
        "seccomp": "filters look at host calls, which are not the guest's",
        "rseq": "restartable sequences need the kernel to see guest registers; the C library does without",
        **dict.fromkeys(
            (
                "landlock_create_ruleset",
                "landlock_add_rule",
                "landlock_restrict_self",
            ),
            "rules would bind Octavo's own files as well",
        ),
        **dict.fromkeys(("add_key", "request_key", "keyctl"), _KEYS),
        **dict.fromkeys(
            (
                "mbind",
                "set_mempolicy",
                "get_mempolicy",
                "migrate_pages",
                "move_pages",
                "set_mempolicy_home_node",
            ),
            _MEMORY_POLICY,
        ),
        **dict.fromkeys(("pkey_alloc", "pkey_free"), "no protection keys in the guest's processor"),
        "remap_file_pages": "deprecated since Linux 3.16; programs use mmap",
        "memfd_secret": "secret memory can't be in the arena; programs use memfd_create",
        "process_madvise": "the memory of another process is not reached by its guest addresses",
        "process_mrelease": "the memory of another process is not reached by its guest addresses",
        "riscv_hwprobe": "newer than the kernel that the tables describe; programs use AT_HWCAP",
        **dict.fromkeys(
            ("kexec_load", "kexec_file_load"), "a guest's kernel is for another processor"
        ),
        **dict.fromkeys(
            ("modify_ldt", "iopl", "ioperm", "vm86", "vm86old", "set_tls", "get_thread_area"),
            _PROCESSOR,
        ),
        **dict.fromkeys(
            (
                "pciconfig_read",
                "pciconfig_write",
                "pciconfig_iobase",
                "rtas",
                "spu_run",
                "spu_create",
                "subpage_prot",
                "switch_endian",
                "swapcontext",
            ),
            _PROCESSOR,
        ),
        **dict.fromkeys(
            ("sysfs", "ustat", "uselib", "bdflush", "lookup_dcookie", "syscall", "nfsservctl"), _OLD
        ),
        **dict.fromkeys(
            ("fsconfig", "fspick", "mount_setattr"),
            "not converted yet; programs fall back to mount",
        ),
        "quotactl_fd": "its structures are not converted",
        "fanotify_init": "its events carry descriptors and structures that are not converted",
        "fanotify_mark": "see fanotify_init",
    }
)
