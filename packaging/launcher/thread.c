// What octavo_resume() changes inside CPython. C, because CPython's internal headers are.
#define Py_BUILD_CORE 1
#include <Python.h>
#include <internal/pycore_runtime.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

// As _PyRuntimeState_ReInitThreads and _PyGILState_Reinit do in a forked child; the key is the C library's, and new.
void octavo_renew_thread(PyThreadState *thread) {
    _PyRuntime.main_thread = PyThread_get_thread_ident();
    thread->thread_id = _PyRuntime.main_thread;
    thread->native_thread_id = (unsigned long)syscall(SYS_gettid);
    Py_tss_t fresh = Py_tss_NEEDS_INIT;
    Py_tss_t *key = &_PyRuntime.gilstate.autoTSSkey;
    *key = fresh;
    if (PyThread_tss_create(key) != 0 || PyThread_tss_set(key, thread) != 0)
        abort();
}
