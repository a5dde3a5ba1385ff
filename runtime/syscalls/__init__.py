"""The system-call layer: registry.py (decode, call, errors), kinds.py (arguments), trace.py (--strace), then one family
per file. Importing this package registers every handler.

How a handler is written:
- `quick(SYS_x, ...)` for host calls that do not block (they keep the interpreter lock); `wait(SYS_x, ...)` for those
  that may (released lock; -ERESTART when a signal or kick came first: just return it, the loop restarts the call).
- Both give >= 0 or -errno; returning that number is the answer. Raise GuestError(EINVAL) for errors found here.
- Paths: `dirfd, path = task.view.resolve(dirfd, path, follow)`, then the *at form of the host call.
- Buffers: `task.memory.access.spans(address, length, W)` gives host memory for readv-like calls, without a copy.
"""
