// The functions of the Python face: the host's system calls, its signals, fork.
//
// The odd thing: `syscall` and `quick_syscall` are plain C functions: they are the hottest.
#include <nanobind/stl/vector.h>
#include <sys/auxv.h>

#include <cerrno>
#include <cstring>

#include "host_syscall.h"
#include "module.h"
#include "process.h"

namespace octavo {

namespace {

// The arguments of syscall(): integers, or buffers that pass their address and are held meanwhile.
struct Arguments {
    long number = 0, values[6] = {};
    Py_buffer views[6];
    int held = 0;
    bool parse(PyObject* const* args, Py_ssize_t n) {
        if (n < 1 || n > 7) {
            PyErr_SetString(PyExc_TypeError, "a number and at most six arguments");
            return false;
        }
        number = PyLong_AsLong(args[0]);
        if (number == -1 && PyErr_Occurred())
            return false;
        for (Py_ssize_t i = 1; i < n; i++) {
            if (PyLong_Check(args[i])) {
                values[i - 1] = long(PyLong_AsUnsignedLongLongMask(args[i]));
            } else if (PyObject_GetBuffer(args[i], &views[held], PyBUF_SIMPLE) == 0) {
                values[i - 1] = long(views[held++].buf);
            } else {
                return false;
            }
        }
        return true;
    }
    ~Arguments() {
        while (held) PyBuffer_Release(&views[--held]);
    }
};

PyObject* py_syscall(PyObject*, PyObject* const* args, Py_ssize_t n) {
    Arguments a;
    if (!a.parse(args, n))
        return nullptr;
    long result;
    Py_BEGIN_ALLOW_THREADS;
    result = host_syscall(a.number, a.values);
    Py_END_ALLOW_THREADS;
    return PyLong_FromLong(result);
}

PyObject* py_quick_syscall(PyObject*, PyObject* const* args, Py_ssize_t n) {
    Arguments a;
    if (!a.parse(args, n))
        return nullptr;
    const long* v = a.values;
    return PyLong_FromLong(raw_syscall(a.number, v[0], v[1], v[2], v[3], v[4], v[5]));
}

PyMethodDef functions[] = {
    {"syscall", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(py_syscall)), METH_FASTCALL,
     nullptr},
    {"quick_syscall", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(py_quick_syscall)),
     METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// 0 is a value that an entry can have (AT_EXECFD), so a missing one is None.
nb::object auxv(unsigned long kind) {
    errno = 0;
    unsigned long value = getauxval(kind);
    if (!value && errno == ENOENT)
        return nb::none();
    return nb::int_(value);
}

nb::object auxv_string(unsigned long kind) {
    const char* text = reinterpret_cast<const char*>(getauxval(kind));
    return text ? nb::object(nb::bytes(text, strlen(text))) : nb::none();
}

uint64_t buffer_address(nb::handle object) {
    Buffer b(object);
    return uint64_t(b.view.buf);
}

// The baton is taken when the interpreter lock can no longer be given away: who waits for one of
// the two while the other waits for it would wait for ever. No other thread is inside the core
// then, so that the child finds every lock of ours free.
long py_fork(uint64_t flags, nb::handle pidfd, PyEngine* engine) {
    alignas(int) int fd = -1;
    PyOS_BeforeFork();
    if (engine)
        engine->it->before_fork();
    long pid = clone_process(flags, &fd);
    if (pid == 0) {
        signals_after_fork();
        PyOS_AfterFork_Child();
        return 0;
    }
    if (engine)
        engine->it->after_fork_parent();
    PyOS_AfterFork_Parent();
    if (pid > 0 && !pidfd.is_none()) {
        Buffer b(pidfd);
        if (!b.view.readonly && b.view.len >= Py_ssize_t(sizeof fd))
            memcpy(b.view.buf, &fd, sizeof fd);
    }
    return pid;
}

}  // namespace

void bind_host(nb::module_& m) {
    PyModule_AddFunctions(m.ptr(), functions);
    m.def("fork", py_fork, nb::arg("flags"), nb::arg("pidfd") = nb::none(),
          nb::arg("engine").none() = nb::none());
    m.def("auxv", auxv, nb::arg("kind"));
    m.def("auxv_string", auxv_string, nb::arg("kind"));
    m.def("address", buffer_address, nb::arg("buffer"));
    m.def("signals_start", signals_start);
    m.def("signal_action", signal_action, nb::arg("signo"), nb::arg("kind"), nb::arg("flags") = 0);
    m.def(
        "signal_mask", [](nb::handle mask) { signal_mask(bits(mask)); }, nb::arg("mask"));
    m.def("signal_mask_get", signal_mask_get);
    m.def("open_fds", open_descriptors);
}

}  // namespace octavo
