// The table of built-in modules, in place of the one in CPython's archive: what is not in it is not linked. The
// launch path needs these; a module that is missing shows when the bundle is made, because that imports them all.
//
// And the frozen modules that stand before the bundle: its finder, and what installs it.
#include "modules.h"

#include <ctime>

extern "C" {
PyObject* PyInit__core();
PyObject* PyMarshal_Init();
PyObject* PyInit__imp();
PyObject* PyInit_gc();
PyObject* _PyWarnings_Init();
PyObject* PyInit__abc();
PyObject* PyInit__ast();
PyObject* PyInit__bisect();
PyObject* PyInit__codecs();
PyObject* PyInit__collections();
PyObject* PyInit__functools();
PyObject* PyInit__io();
PyObject* PyInit__operator();
PyObject* PyInit__signal();
PyObject* PyInit__stat();
PyObject* PyInit__string();
PyObject* PyInit__struct();
PyObject* PyInit__thread();
PyObject* PyInit__weakref();
PyObject* PyInit_errno();
PyObject* PyInit_fcntl();
PyObject* PyInit_itertools();
PyObject* PyInit_posix();
PyObject* PyInit_time();

extern const unsigned char octavo_runtime[], octavo_runtime_end[];
extern const unsigned char octavo_finder[], octavo_finder_end[];
extern const unsigned char octavo_main[], octavo_main_end[];

// CPython's own name for the table (Modules/config.c.in).
struct _inittab _PyImport_Inittab[] = {
    {"_core", PyInit__core},
    {"launcher", octavo_launcher_module},
    {"builtins", nullptr},
    {"sys", nullptr},
    {"marshal", PyMarshal_Init},
    {"_imp", PyInit__imp},
    {"_warnings", _PyWarnings_Init},
    {"_abc", PyInit__abc},
    {"_ast", PyInit__ast},
    {"_bisect", PyInit__bisect},
    {"_codecs", PyInit__codecs},
    {"_collections", PyInit__collections},
    {"_functools", PyInit__functools},
    {"_io", PyInit__io},
    {"_operator", PyInit__operator},
    {"_signal", PyInit__signal},
    {"_stat", PyInit__stat},
    {"_string", PyInit__string},
    {"_struct", PyInit__struct},
    {"_thread", PyInit__thread},
    {"_weakref", PyInit__weakref},
    {"errno", PyInit_errno},
    {"fcntl", PyInit_fcntl},
    {"gc", PyInit_gc},
    {"itertools", PyInit_itertools},
    {"posix", PyInit_posix},
    {"time", PyInit_time},
    {nullptr, nullptr},
};
}

namespace {

_frozen make(const char* name, const unsigned char* code, const unsigned char* end, bool package) {
    _frozen module = {};
    module.name = name;
    module.code = code;
    module.size = int(end - code);
    module.is_package = package;
    return module;
}

_frozen frozen[4];

}  // namespace

// CPython's module `time` asks for the local time zone when it is imported, and the C library would read
// /etc/localtime of whatever root this is. No clock of ours is shown to anyone as local time.
extern "C" tm* __wrap_localtime_r(const time_t*, tm* out) {
    *out = {};
    out->tm_mday = 1;
    out->tm_year = 70;
    out->tm_zone = "UTC";
    return out;
}

void octavo_freeze() {
    frozen[0] = make("runtime", octavo_runtime, octavo_runtime_end, true);
    frozen[1] = make("runtime.bundle", octavo_finder, octavo_finder_end, false);
    frozen[2] = make("octavo_main", octavo_main, octavo_main_end, false);
    PyImport_FrozenModules = frozen;
}
