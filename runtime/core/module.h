// What the two files of the Python face share.
//
// The odd thing: the classes Python sees hold shared pointers, because a thread's Cpu, an engine's
// table and a table's arena must outlive whatever order Python drops them in.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>

#include "cpu.h"

namespace nb = nanobind;

namespace octavo {

struct PyArena {
    std::shared_ptr<Arena> it;
};
struct PyTable {
    std::shared_ptr<PageTable> it;
};
struct PyEngine {
    std::shared_ptr<Engine> it;
};
struct PyCpu {
    std::shared_ptr<Cpu> it;
};

// An int of any sign as the 64 bits that a register holds.
inline uint64_t bits(nb::handle value) {
    uint64_t v = PyLong_AsUnsignedLongLongMask(value.ptr());
    if (v == ~uint64_t(0) && PyErr_Occurred())
        throw nb::python_error();
    return v;
}

struct Buffer {
    explicit Buffer(nb::handle object) {
        if (PyObject_GetBuffer(object.ptr(), &view, PyBUF_SIMPLE) != 0)
            throw nb::python_error();
    }
    ~Buffer() { PyBuffer_Release(&view); }
    Buffer(const Buffer&) = delete;
    Py_buffer view;
};

void bind_host(nb::module_& m);

}  // namespace octavo
