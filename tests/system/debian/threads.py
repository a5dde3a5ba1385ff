"""Threads that fork and start programs while others compute and signals arrive; execve and exit beside threads."""

import os
import signal
import socket
import subprocess
import threading
import time

stop = threading.Event()
signals: list[int] = []


def compute():
    number = 0
    while not stop.is_set():
        number += 1


def send_signals():
    for _ in range(50):
        os.kill(os.getpid(), signal.SIGUSR1)
        time.sleep(0.01)


def fork(results):
    for number in range(10):
        child = os.fork()
        if child == 0:
            os._exit(number)
        results.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def start(results):
    for number in range(5):
        results.append(int(subprocess.check_output(["/bin/echo", str(number)])))


def execute():
    child = os.fork()
    if child == 0:
        words = ["sh", "-c", "exit 4"]
        threading.Thread(target=os.execv, args=("/bin/sh", words)).start()
        time.sleep(60)
        os._exit(9)
    print("executed", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def main():
    signal.signal(signal.SIGUSR1, lambda number, frame: signals.append(number))
    forked: list[int] = []
    started: list[int] = []
    computing = [threading.Thread(target=compute) for _ in range(2)]
    working = [threading.Thread(target=send_signals)]
    working += [threading.Thread(target=fork, args=(forked,)) for _ in range(3)]
    working += [threading.Thread(target=start, args=(started,)) for _ in range(3)]
    for thread in computing + working:
        thread.start()
    for thread in working:
        thread.join()
    stop.set()
    for thread in computing:
        thread.join()
    print("forked", sum(forked), "started", sum(started), "signals", bool(signals))
    execute()
    one, other = socket.socketpair()
    threading.Thread(target=one.recv, args=(1,), daemon=True).start()
    print("end", other.fileno() > 0)


if __name__ == "__main__":
    main()
