// The launcher's main(): brings up the interpreter that is linked in, and calls main() of the frozen main.py.
//
// It has three lives (CMakeLists.txt): octavo-bare, a plain Python for the build; octavo-cold, which initialises and
// imports everything and writes octavo; and octavo, which goes on from there (snapshot.cc).
//
// The odd thing is how little of CPython's initialisation is done for the snapshot. With _init_main = 0 it stops after the core: types,
// builtins, sys, and the importers of built-in and frozen modules. The rest would look for files, load codecs, and
// open three standard streams that nobody reads; it takes two thirds of the time. So sys.stdin and sys.path do not
// exist here, text is UTF-8 with surrogateescape, and the signals stay as they were inherited.
//
// Nothing here opens a file: the kernel has pinned this executable (binfmt_misc, flag F), and the root directory may
// be an empty one.
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>

#include "modules.h"
#include "snapshot.h"

extern "C" {
extern const char octavo_bundle[], octavo_bundle_end[];
extern const char octavo_settings[];
}

namespace {

constexpr int FAILED = 1;

PyObject* view(const char* data, Py_ssize_t size) {
    return PyMemoryView_FromMemory(const_cast<char*>(data), size, PyBUF_READ);
}

// The words of argv or environ, exactly.
PyObject* words(char** from) {
    PyObject* list = PyList_New(0);
    for (; list && *from; from++) {
        PyObject* word = PyBytes_FromString(*from);
        if (!word || PyList_Append(list, word) < 0)
            return nullptr;
        Py_DECREF(word);
    }
    return list;
}

PyObject* settings() {
    constexpr size_t mark = 16;
    // volatile: what the compiler sees here is not what another program has written into the file
    const volatile char* at = octavo_settings + mark;
    uint32_t size = 0;
    for (int i = 3; i >= 0; i--) size = size << 8 | uint8_t(at[i]);
    return view(octavo_settings + mark + 4, size);
}

char** arguments;
long page_size;  // of the machine on which the modules were imported: they keep it
PyObject *launcher, *main_module;

// The module `launcher`: what Python code can't know by itself here.
PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "launcher", nullptr, -1, nullptr, nullptr, nullptr, nullptr, nullptr};

[[noreturn]] void fail(PyStatus status) {
    dprintf(2, "octavo: cannot start: %s\n", status.err_msg ? status.err_msg : "out of memory");
    _exit(FAILED);
}

void check(PyStatus status) {
    if (PyStatus_Exception(status))
        fail(status);
}

void initialize(bool bare) {
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1;
    before.configure_locale = 0;
    check(Py_PreInitialize(&before));

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config._init_main = bare;
    config.site_import = 0;
    config.install_signal_handlers = 0;
    config.write_bytecode = 0;
    config.pathconfig_warnings = 0;
    config.optimization_level = 2;
    config.module_search_paths_set = 1;
    // Given, so that nothing is computed: it would look at the file system.
    for (wchar_t** name : {&config.program_name, &config.executable, &config.base_executable})
        check(PyConfig_SetString(&config, name, L"octavo"));
    for (wchar_t** name : {&config.prefix, &config.exec_prefix, &config.base_prefix,
                           &config.base_exec_prefix, &config.stdlib_dir})
        check(PyConfig_SetString(&config, name, L""));
    for (wchar_t** name : {&config.filesystem_encoding, &config.stdio_encoding})
        check(PyConfig_SetString(&config, name, L"utf-8"));
    for (wchar_t** name : {&config.filesystem_errors, &config.stdio_errors})
        check(PyConfig_SetString(&config, name, L"surrogateescape"));
    if (bare) {
        wchar_t* library = Py_DecodeLocale(arguments[1], nullptr);
        check(PyWideStringList_Append(&config.module_search_paths, library));
        check(PyConfig_SetBytesArgv(&config, 0, nullptr));
    }
    check(Py_InitializeFromConfig(&config));
}

// The native core under its name: the importer of built-in modules knows no packages.
bool place_core() {
    PyObject* core = PyImport_ImportModule("_core");
    return core && PyDict_SetItemString(PyImport_GetModuleDict(), "runtime._core", core) == 0;
}

// octavo-bare LIBRARY FILE ARGS...: a Python without modules of ours, for the build.
int run_bare(int count) {
    if (count < 3) {
        dprintf(2, "usage: octavo-bare LIBRARY FILE ARGS...\n");
        return 2;
    }
    initialize(true);
    PyObject* list = PyList_New(0);
    for (int i = 2; i < count; i++) PyList_Append(list, PyUnicode_DecodeFSDefault(arguments[i]));
    PySys_SetObject("argv", list);
    FILE* file = fopen(arguments[2], "r");
    if (!file) {
        perror(arguments[2]);
        return FAILED;
    }
    if (!place_core()) {
        PyErr_Print();
        return FAILED;
    }
    return PyRun_SimpleFileEx(file, arguments[2], 1) ? FAILED : 0;
}

}  // namespace

PyObject* octavo_launcher_module() {
    PyObject* module = PyModule_Create(&definition);
    if (!module || PyModule_AddObject(module, "bundle",
                                      view(octavo_bundle, octavo_bundle_end - octavo_bundle)) < 0)
        return nullptr;
    return module;
}

namespace {

// octavo-cold FILE: everything up to the program's own words; the executable FILE goes on from there.
int make_snapshot(const char* path) {
    clearenv();  // the builder's; os.environ stays empty, the program's own is launcher.environ
    octavo_freeze();
    octavo_begin_snapshot();
    page_size = sysconf(_SC_PAGESIZE);
    initialize(false);
    PyGC_Disable();  // nothing that is imported is garbage; run.py turns it on
    launcher = PyImport_ImportModule("launcher");
    if (!launcher || !place_core() || !(main_module = PyImport_ImportModule("octavo_main"))) {
        PyErr_Print();
        return FAILED;
    }
    if (!octavo_write_snapshot(path)) {
        perror(path);
        return FAILED;
    }
    return 0;
}

int run() {
    if (long here = sysconf(_SC_PAGESIZE); here != page_size) {
        dprintf(2,
                "octavo: this launcher was built on a machine with pages of %ld bytes, and this "
                "one has %ld; build it here (make launcher), and register it\n",
                page_size, here);
        return FAILED;
    }
    octavo_resume();
    PyObject* status = nullptr;
    if (PyModule_AddObject(launcher, "argv", words(arguments)) == 0 &&
        PyModule_AddObject(launcher, "environ", words(environ)) == 0 &&
        PyModule_AddObject(launcher, "settings", settings()) == 0)
        status = PyObject_CallMethod(main_module, "main", nullptr);
    if (!status)
        PyErr_Print();
    return status ? int(PyLong_AsLong(status)) : FAILED;
}

}  // namespace

int main(int count, char** words) {
    arguments = words;
    if (octavo_is_warm())
        _exit(run());
    if (&octavo_bundle[0] == &octavo_bundle_end[0])
        return run_bare(count);
    if (count != 2) {
        dprintf(2, "usage: octavo-cold FILE\n");
        return 2;
    }
    return make_snapshot(words[1]);
}
