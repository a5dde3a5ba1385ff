// The modules that are linked in.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

// Tells the importer of frozen modules about ours: the package `runtime`, runtime.bundle and the main module.
void octavo_freeze();

extern "C" PyObject* octavo_launcher_module();
