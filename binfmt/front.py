"""The one entry of the program, however it was started: see invocation.py.

- by the kernel: run the program, with what qemu-user's environment variables and the configuration say;
- as `qemu-ARCH` or `qemu-ARCH-static`: qemu-user's command line (qemu.py);
- otherwise: the `octavo` command (runtime/cli.py).
"""

import os
import sys

from binfmt import invocation
from binfmt.invocation import KERNEL, QEMU, Invocation, InvocationError

FAILED = 1  # as qemu-user answers a wrong command line


def main(argv: "list[bytes]") -> int:
    """Do what was asked for. argv: all of it, argv[0] too. The exit status; not of a program that started: that one
    does not come back."""
    try:
        called = invocation.read(argv)
    except InvocationError as error:
        sys.stderr.write(f"octavo: {error}\n")
        return FAILED
    if called.how == KERNEL:
        return _kernel(called)
    if called.how == QEMU:
        from binfmt import qemu  # noqa: PLC0415  only one of the three is needed

        return qemu.main(argv[0], called)
    from runtime import cli  # noqa: PLC0415

    sys.argv[1:] = [os.fsdecode(word) for word in argv[1:]]
    return cli.main()


def console() -> int:
    """main() for a console script."""
    return main([os.fsencode(word) for word in sys.argv])


def _kernel(called: Invocation) -> int:
    """A program that the kernel handed over. No word of it is an option of ours."""
    from binfmt import qemu  # noqa: PLC0415
    from runtime.run_command import Options, UsageError, initial_environment  # noqa: PLC0415

    environment = initial_environment()
    options = Options(
        program=called.program,
        argv0=called.argv[0],
        arguments=called.argv[1:],
        environment=tuple(environment),
        program_fd=called.execfd,
        execfn=called.execfn,
        secure=called.secure,
        by_kernel=True,
    )
    if not called.secure:  # who gained privileges takes no advice from who started it
        try:
            if qemu.from_environment(options, environment, called.arch):
                return 0
        except UsageError as error:
            sys.stderr.write(f"octavo: {error.args[0]}\n")
            return FAILED
    from runtime import run  # noqa: PLC0415

    return run.main(options)
