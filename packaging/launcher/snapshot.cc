// A start from a snapshot: the executable's file holds the memory of an interpreter that has imported everything.
//
// Two ranges of the writable segment are kept: the state (the variables of CPython, the native core, nanobind and this
// directory, gathered by snapshot.ld) and the heap (all that they have allocated). octavo-cold initialises Python,
// imports the modules, and writes a copy of its own file with the present bytes in those two ranges. The kernel maps
// that copy like any program; nothing is read, relocated or unpacked. All addresses hold because the executable is
// linked to fixed ones.
//
// The C library is not in it: each process has a fresh one, with its own stack protector, locale, thread descriptor and
// malloc. So while a snapshot is made, malloc gives memory out of the heap; afterwards the C library's own is used, and
// what came out of the heap is never given back. What CPython has from the C library, and keeps, is renewed by resume():
// its thread's identity and the key of a thread-specific value.
//
// What is decided by the host and kept in Python is the page size (HOST_PAGE), which main() compares.
#include "snapshot.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

extern "C" {
extern char octavo_state[], octavo_state_end[];
extern char octavo_heap[], octavo_heap_end[];
void* __real_malloc(size_t size);
void* __real_calloc(size_t count, size_t size);
void* __real_realloc(void* old, size_t size);
void* __real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void* block);
void octavo_renew_thread(PyThreadState* thread);  // thread.c
}

namespace {

bool warm, filling;
char* top = octavo_heap;
PyThreadState* thread;

constexpr size_t UNIT = 16;  // alignment of a block, and room in front of it for its size

bool kept(const void* block) {
    return block >= octavo_heap && block < octavo_heap_end;
}

// Zeroed memory of the heap.
void* carve(size_t size, size_t alignment) {
    if (alignment < UNIT)
        alignment = UNIT;
    uintptr_t start = (uintptr_t(top) + UNIT + alignment - 1) & -alignment;
    if (size > uintptr_t(octavo_heap_end) - start) {
        dprintf(2, "octavo: the heap of embedded.S.in is too small for the snapshot\n");
        abort();
    }
    memcpy(reinterpret_cast<char*>(start) - UNIT, &size, sizeof size);
    top = reinterpret_cast<char*>(start + ((size + UNIT - 1) & -UNIT));
    return reinterpret_cast<void*>(start);
}

size_t size_of(const void* block) {
    size_t size;
    memcpy(&size, static_cast<const char*>(block) - UNIT, sizeof size);
    return size;
}

// Where CPython keeps its small objects.
void* new_arena(void*, size_t size) {
    if (filling)
        return carve(size, size_t(sysconf(_SC_PAGESIZE)));
    void* arena = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return arena == MAP_FAILED ? nullptr : arena;
}

void free_arena(void*, void* arena, size_t size) {
    if (!kept(arena))
        munmap(arena, size);
}

bool write_all(int fd, const char* data, size_t size, off_t offset) {
    while (size > 0) {
        ssize_t done = pwrite(fd, data, size, offset);
        if (done < 0)
            return false;
        data += done;
        offset += done;
        size -= size_t(done);
    }
    return true;
}

// Puts the memory from `start` to `end` where the file has it.
bool patch(int fd, std::string& file, const char* start, const char* end) {
    auto* header = reinterpret_cast<Elf64_Ehdr*>(file.data());
    auto* segments = reinterpret_cast<Elf64_Phdr*>(file.data() + header->e_phoff);
    for (int i = 0; i < header->e_phnum; i++) {
        auto address = uintptr_t(start) - segments[i].p_vaddr;
        if (segments[i].p_type == PT_LOAD && uintptr_t(start) >= segments[i].p_vaddr &&
            address + size_t(end - start) <= segments[i].p_filesz)
            return write_all(fd, start, size_t(end - start), off_t(segments[i].p_offset + address));
    }
    errno = ENOEXEC;
    return false;
}

bool read_all(const char* path, std::string& data) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    data.resize(size_t(lseek(fd, 0, SEEK_END)));
    bool good = pread(fd, data.data(), data.size(), 0) == ssize_t(data.size());
    close(fd);
    return good;
}

}  // namespace

extern "C" {
void* __wrap_malloc(size_t size) {
    return filling ? carve(size, UNIT) : __real_malloc(size);
}

void* __wrap_calloc(size_t count, size_t size) {
    if (!filling)
        return __real_calloc(count, size);
    size_t all;
    return __builtin_mul_overflow(count, size, &all) ? nullptr : carve(all, UNIT);
}

void* __wrap_realloc(void* old, size_t size) {
    if (!kept(old))
        return old || !filling ? __real_realloc(old, size) : carve(size, UNIT);
    size_t before = size_of(old);
    if (size <= before)
        return old;
    void* block = __wrap_malloc(size);
    return block ? memcpy(block, old, before) : nullptr;
}

void* __wrap_aligned_alloc(size_t alignment, size_t size) {
    return filling ? carve(size, alignment) : __real_aligned_alloc(alignment, size);
}

void __wrap_free(void* block) {
    if (!kept(block))
        __real_free(block);
}
}

bool octavo_is_warm() {
    return warm;
}

void octavo_begin_snapshot() {
    filling = true;
    PyObjectArenaAllocator arenas = {nullptr, new_arena, free_arena};
    PyObject_SetArenaAllocator(&arenas);
}

bool octavo_write_snapshot(const char* path) {
    thread = PyThreadState_Get();
    filling = false;
    std::string file;
    if (!read_all("/proc/self/exe", file))
        return false;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    if (fd < 0)
        return false;
    warm = true;
    bool good = write_all(fd, file.data(), file.size(), 0) &&
                patch(fd, file, octavo_state, octavo_state_end) &&
                patch(fd, file, octavo_heap, octavo_heap_end) && close(fd) == 0;
    warm = false;
    if (good)
        dprintf(1, "snapshot: state %zu KiB, heap %zu of %zu KiB\n",
                size_t(octavo_state_end - octavo_state) >> 10, size_t(top - octavo_heap) >> 10,
                size_t(octavo_heap_end - octavo_heap) >> 10);
    return good;
}

void octavo_resume() {
    octavo_renew_thread(thread);
}
