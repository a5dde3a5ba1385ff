// See snapshot.cc.
#pragma once

#include <Python.h>

// Whether this process started with the memory of a snapshot.
bool octavo_is_warm();

// From now on, memory is taken from the heap that a snapshot keeps.
void octavo_begin_snapshot();

// Writes a copy of this executable that starts with today's memory. False: errno says why.
bool octavo_write_snapshot(const char* path);

// First in a process with a snapshot's memory: what belongs to a thread is this process's own again.
void octavo_resume();
