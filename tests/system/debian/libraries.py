"""Python's modules that lean on the kernel: processes, threads, shared memory, signals. One line per subject."""

import concurrent.futures
import ctypes
import multiprocessing
import os
import queue
import signal
import socket
import sqlite3
import ssl
import subprocess
import threading
import time
from multiprocessing import shared_memory


def square(number):
    return number * number


def total(results):
    """Sum of the table's rows, asked over a connection of our own."""
    database = sqlite3.connect("file.db")
    results.put(database.execute("select sum(a) from t").fetchone()[0])
    database.close()


def processes():
    with multiprocessing.Pool(4) as pool:
        print("pool", sum(pool.map(square, range(200))))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print("spawn", pool.map(square, [1, 2, 3]))
    with multiprocessing.Manager() as manager:
        shared = manager.dict(a=1)
        shared["b"] = 2
        print("manager", dict(shared))
    event = multiprocessing.Event()
    waiter = multiprocessing.Process(target=event.wait)
    waiter.start()
    event.set()
    waiter.join(60)
    print("event", waiter.exitcode)
    block = shared_memory.SharedMemory(create=True, size=100)
    memory = block.buf
    assert memory is not None
    memory[0] = 7
    del memory  # the block can't be closed while it is used
    again = shared_memory.SharedMemory(block.name)
    print("shared", bytes(again.buf or b"")[0])
    again.close()
    block.close()
    block.unlink()


def commands():
    words = ["sh", "-c", "cat; exit 3"]
    done = subprocess.run(words, input=b"abc", stdout=subprocess.PIPE, check=False)
    print("command", done.stdout.decode(), done.returncode)
    try:
        subprocess.run(["/absent"], check=False)
    except FileNotFoundError as error:
        print("absent", error.errno)
    with subprocess.Popen(["sleep", "100"]) as sleeper:
        sleeper.terminate()
    print("terminated", sleeper.returncode)


def threads():
    count, lock = [0], threading.Lock()

    def work():
        for _ in range(2000):
            with lock:
                count[0] += 1

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    print("threads", count[0])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        print("executor", sum(pool.map(square, range(100))))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:  # processes started from threads
        jobs = [pool.submit(subprocess.check_output, ["echo", str(i)]) for i in range(12)]
        print("started", sum(int(job.result()) for job in jobs))


def database():
    writer = sqlite3.connect("file.db")
    print("journal", *writer.execute("pragma journal_mode=wal").fetchone())
    writer.execute("create table t(a)")
    writer.executemany("insert into t values(?)", [(i,) for i in range(1000)])
    writer.commit()
    results: queue.Queue[int] = queue.Queue()
    reader = threading.Thread(target=total, args=(results,))
    reader.start()
    reader.join()
    others: multiprocessing.Queue[int] = multiprocessing.Queue()
    other = multiprocessing.Process(target=total, args=(others,))
    other.start()
    print("sums", results.get(), others.get(timeout=60))
    other.join()
    writer.close()


def foreign():
    """A C function that calls back into Python; a TLS context; signals; sockets."""
    pointer = ctypes.POINTER(ctypes.c_int)
    compare = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer)(lambda a, b: a[0] - b[0])
    numbers = (ctypes.c_int * 6)(5, 3, 9, 1, 7, 2)
    ctypes.CDLL(None).qsort(numbers, 6, 4, compare)
    print("callback", list(numbers))
    print("ssl", len(ssl.create_default_context().get_ciphers()) > 5)
    got = []
    signal.signal(signal.SIGALRM, lambda number, frame: got.append(number))
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    time.sleep(0.5)
    print("alarm", *got)
    one, other = socket.socketpair()
    one.send(b"x" * 10)
    print("socket", len(other.recv(100)), (os.cpu_count() or 0) > 0)


if __name__ == "__main__":
    processes()
    commands()
    threads()
    database()
    foreign()
