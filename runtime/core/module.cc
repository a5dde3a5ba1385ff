// The Python face: all that _core.pyi declares, and nothing else. Here are the classes and the
// values; module_host.cc has the functions. No other file knows Python.
#include "module.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "fast_calls.h"
#include "process.h"

using namespace octavo;

namespace {

PyObject* memory_fault = nullptr;
thread_local std::shared_ptr<Cpu>
    t_cpu;  // keeps the bound Cpu alive: its slot is where this thread's signals go

[[noreturn]] void raise(const Fault& fault) {
    PyErr_SetObject(memory_fault, nb::int_(fault.address).ptr());
    throw nb::python_error();
}

template <class F>
auto checked(F&& f) {
    try {
        return f();
    } catch (const Fault& fault) {
        raise(fault);
    } catch (const std::system_error& error) {
        errno = error.code().value();
        PyErr_SetFromErrno(PyExc_OSError);
        throw nb::python_error();
    } catch (const std::invalid_argument& error) {
        throw nb::value_error(error.what());
    }
}

template <class T>
std::vector<std::pair<T, uint64_t>> pairs(nb::handle sequence) {
    std::vector<std::pair<T, uint64_t>> out;
    for (nb::handle item : sequence) out.emplace_back(T(bits(item[0])), bits(item[1]));
    return out;
}

nb::bytes fresh_bytes(uint64_t length) {
    PyObject* b = PyBytes_FromStringAndSize(nullptr, Py_ssize_t(length));
    if (!b)
        throw nb::python_error();
    return nb::steal<nb::bytes>(b);
}

nb::bytes table_read(PyTable& t, uint64_t guest, uint64_t length) {
    return checked([&] {
        if (length > t.it->arena->size)  // do not allocate what cannot be there
            throw Fault{guest};
        nb::bytes b = fresh_bytes(length);
        t.it->read(guest, PyBytes_AS_STRING(b.ptr()), length);
        return b;
    });
}

void table_write(PyTable& t, uint64_t guest, nb::handle data, bool forced) {
    Buffer b(data);
    checked([&] { t.it->write(guest, b.view.buf, uint64_t(b.view.len), forced); });
}

nb::bytes table_cstring(PyTable& t, uint64_t guest, uint64_t limit) {
    return checked([&] {
        std::vector<char> into;
        if (!t.it->cstring(guest, limit, into))
            throw std::invalid_argument("no NUL within the limit");
        return nb::bytes(into.data(), into.size());
    });
}

nb::list table_ranges(PyTable& t) {
    nb::list out;
    for (const Mapping& m : t.it->ranges()) {
        // An end of 2^64 does not fit in 64 bits.
        nb::object end = m.end ? nb::object(nb::int_(m.end)) : nb::int_(1) << nb::int_(64);
        out.append(nb::make_tuple(m.start, end, m.offset, m.perms));
    }
    return out;
}

nb::object table_lookup(PyTable& t, uint64_t guest) {
    Mapping m;
    if (t.it->lookup(guest, m))
        return nb::make_tuple(m.offset + (guest - m.start), m.perms & RWX);
    return nb::none();
}

nb::list table_spans(PyTable& t, uint64_t guest, uint64_t length, int access) {
    return checked([&] {
        nb::list out;
        for (const Span& s : t.it->spans(guest, length, access))
            out.append(nb::make_tuple(uint64_t(s.host), s.length));
        return out;
    });
}

nb::list table_journal_take(PyTable& t) {
    nb::list out;
    const uint64_t size = t.it->page;
    std::vector<uint8_t> now(size);
    for (auto& [guest, offset, before] : t.it->journal_take()) {
        if (guarded_copy(now.data(), t.it->arena->at(offset), size) != size)
            continue;
        for (uint64_t end, at = 0; at < size; at = end) {
            bool changed = now[at] != before[at];
            for (end = at + 1; end < size && (now[end] != before[end]) == changed;) end++;
            if (changed)
                out.append(nb::make_tuple(guest + at, nb::bytes(&now[at], end - at)));
        }
    }
    return out;
}

void bind_table(nb::module_& m) {
    nb::class_<PyArena>(m, "Arena")
        .def(
            "__init__",
            [](PyArena* self, uint64_t size, uint64_t least) {
                checked([&] { new (self) PyArena{std::make_shared<Arena>(size, least)}; });
            },
            nb::arg("size"), nb::arg("least"))
        .def_prop_ro("base", [](PyArena& a) { return a.it->base; })
        .def_prop_ro("size", [](PyArena& a) { return a.it->size; })
        .def(
            "copy",
            [](PyArena& a, uint64_t target, uint64_t source, uint64_t length) {
                return checked([&] {
                    if (std::max(source, target) > a.it->size ||
                        length > a.it->size - std::max(source, target))
                        throw std::invalid_argument("beyond the arena");
                    return guarded_copy(a.it->at(target), a.it->at(source), length);
                });
            },
            nb::arg("target"), nb::arg("source"), nb::arg("length"));
    nb::class_<PyTable>(m, "PageTable")
        .def(
            "__init__",
            [](PyTable* self, PyArena& arena, uint64_t page) {
                checked([&] { new (self) PyTable{std::make_shared<PageTable>(arena.it, page)}; });
            },
            nb::arg("arena"), nb::arg("page"))
        .def_prop_ro("page", [](PyTable& t) { return t.it->page; })
        .def(
            "install",
            [](PyTable& t, uint64_t guest, uint64_t length, uint64_t offset, int perms) {
                checked([&] { t.it->install(guest, length, offset, perms); });
            },
            nb::arg("guest"), nb::arg("length"), nb::arg("offset"), nb::arg("perms"))
        .def(
            "protect",
            [](PyTable& t, uint64_t guest, uint64_t length, int perms) {
                checked([&] { t.it->protect(guest, length, perms); });
            },
            nb::arg("guest"), nb::arg("length"), nb::arg("perms"))
        .def("remove",
             [](PyTable& t, uint64_t at, uint64_t n) { checked([&] { t.it->remove(at, n); }); })
        .def("clear", [](PyTable& t) { t.it->clear(); })
        .def("limit",
             [](PyTable& t, uint64_t at, uint64_t n) { checked([&] { t.it->limit(at, n); }); })
        .def(
            "watch", [](PyTable& t, nb::handle files) { t.it->watch(pairs<int>(files)); },
            nb::arg("files"))
        .def("count_touched", [](PyTable& t) { t.it->counting = true; })
        .def("touched",
             [](PyTable& t, uint64_t offset, uint64_t length, uint64_t unit) {
                 std::string out = t.it->touched(offset, length, unit);
                 return nb::bytes(out.data(), out.size());
             })
        .def("touch", [](PyTable& t, uint64_t at, uint64_t n) { t.it->touch(at, n); })
        .def("forget", [](PyTable& t, uint64_t at, uint64_t n) { t.it->forget(at, n); })
        .def("ranges", table_ranges)
        .def("lookup", table_lookup, nb::arg("guest"))
        .def("read", table_read, nb::arg("guest"), nb::arg("length"))
        .def(
            "write",
            [](PyTable& t, uint64_t guest, nb::handle data) { table_write(t, guest, data, false); },
            nb::arg("guest"), nb::arg("data"))
        .def(
            "poke",
            [](PyTable& t, uint64_t guest, nb::handle data) { table_write(t, guest, data, true); },
            nb::arg("guest"), nb::arg("data"))
        .def("cstring", table_cstring, nb::arg("guest"), nb::arg("limit"))
        .def(
            "read_u32",
            [](PyTable& t, uint64_t guest) {
                return checked([&] { return t.it->read_u32(guest); });
            },
            nb::arg("guest"))
        .def(
            "compare_exchange_u32",
            [](PyTable& t, uint64_t guest, uint32_t expected, uint32_t value) {
                return checked([&] { return t.it->compare_exchange_u32(guest, expected, value); });
            },
            nb::arg("guest"), nb::arg("expected"), nb::arg("value"))
        .def("spans", table_spans, nb::arg("guest"), nb::arg("length"), nb::arg("access"))
        .def(
            "host",
            [](PyTable& t, uint64_t guest, uint64_t length, int access) {
                return checked([&] { return uint64_t(t.it->host(guest, length, access)); });
            },
            nb::arg("guest"), nb::arg("length"), nb::arg("access"))
        .def("journal_begin", [](PyTable& t) { t.it->journal_begin(); })
        .def("journal_take", table_journal_take);
}

template <class T>
std::vector<T> numbers(nb::handle sequence) {
    std::vector<T> out;
    for (nb::handle item : sequence) out.push_back(T(bits(item)));
    return out;
}

void engine_init(PyEngine* self, PyTable& table, int arch, int mode, int model, nb::handle setup,
                 bool page_settable, nb::handle syscall_traps, int syscall_insn, int number,
                 nb::handle arguments, int result, int error, int error_style, int pc, int sp) {
    Facts f;
    f.arch = arch, f.mode = mode, f.model = model;
    f.setup = pairs<int>(setup);
    f.page_settable = page_settable;
    f.syscall_traps = numbers<uint32_t>(syscall_traps);
    f.syscall_insn = syscall_insn;
    f.number = number;
    f.arguments = numbers<int>(arguments);
    f.result = result, f.error = error, f.error_style = error_style, f.pc = pc, f.sp = sp;
    new (self) PyEngine{std::make_shared<Engine>(table.it, std::move(f))};
}

void engine_fast_calls(PyEngine& e, nb::handle names, nb::handle errors) {
    std::vector<std::pair<int64_t, std::string>> calls;
    for (nb::handle item : nb::object(names.attr("items")()))
        calls.emplace_back(nb::cast<int64_t>(item[0]), nb::cast<std::string>(item[1]));
    auto renumbered = pairs<int>(nb::object(errors.attr("items")()));
    checked([&] { e.it->fast_calls(calls, {renumbered.begin(), renumbered.end()}); });
}

nb::dict engine_counters(PyEngine& e) {
    nb::dict out;
    const Counters& c = e.it->counters;
    out["fills"] = c.fills, out["flushes"] = c.flushes, out["page_flushes"] = c.page_flushes;
    out["stops"] = c.stops, out["fast_calls"] = c.fast_calls, out["switches"] = c.switches;
    out["translations"] = c.translations, out["invalidations"] = c.invalidations;
    return out;
}

void bind_engine(nb::module_& m) {
    nb::class_<PyEngine>(m, "Engine")
        .def("__init__", engine_init, nb::arg("table"), nb::kw_only(), nb::arg("arch"),
             nb::arg("mode"), nb::arg("model"), nb::arg("setup"), nb::arg("page_settable"),
             nb::arg("syscall_traps"), nb::arg("syscall_insn"), nb::arg("number"),
             nb::arg("arguments"), nb::arg("result"), nb::arg("error"), nb::arg("error_style"),
             nb::arg("pc"), nb::arg("sp"))
        .def(
            "invalidate",
            [](PyEngine& e, uint64_t offset, uint64_t length) { e.it->invalidate(offset, length); },
            nb::arg("offset"), nb::arg("length"))
        .def(
            "watch_code",
            [](PyEngine& e, nb::handle parts) { e.it->watch_code(pairs<uint64_t>(parts)); },
            nb::arg("parts"))
        .def("flush", [](PyEngine& e) { e.it->flush(); })
        .def(
            "breakpoints",
            [](PyEngine& e, nb::handle addresses) {
                e.it->breakpoints(numbers<uint64_t>(addresses));
            },
            nb::arg("addresses"))
        .def("fast_calls", engine_fast_calls, nb::arg("names"), nb::arg("errors") = nb::dict())
        .def("before_fork", [](PyEngine& e) { e.it->before_fork(); })
        .def("after_fork_parent", [](PyEngine& e) { e.it->after_fork_parent(); })
        .def(
            "after_fork_child",
            [](PyEngine& e, PyCpu& cpu) {
                e.it->after_fork_child();
                slot_bind(&cpu.it->slot);
                t_cpu = cpu.it;
            },
            nb::arg("cpu"))
        .def_prop_ro("counters", engine_counters);
}

template <bool single>
int cpu_run(PyCpu& c) {
    std::shared_ptr<Cpu> cpu = c.it;  // Python may drop its own while the lock is given up
    nb::gil_scoped_release nogil;
    return cpu->run(single);
}

nb::object cpu_call(PyCpu& c) {
    size_t n = 1 + std::min<size_t>(6, c.it->engine->facts.arguments.size());
    PyObject* out = PyTuple_New(Py_ssize_t(n));
    for (size_t i = 0; i < n; i++)
        PyTuple_SET_ITEM(out, Py_ssize_t(i), PyLong_FromUnsignedLongLong(c.it->call[i]));
    return nb::steal(out);
}

nb::object cpu_take_signal(PyCpu& c) {
    int signo;
    char info[128];
    if (!slot_take(&c.it->slot, signo, reinterpret_cast<uint8_t*>(info)))
        return nb::none();
    return nb::make_tuple(signo, nb::bytes(info, sizeof info));
}

void cpu_set_many(PyCpu& c, nb::handle registers, nb::handle values) {
    std::vector<int> regs = numbers<int>(registers);
    std::vector<uint64_t> all = numbers<uint64_t>(values);
    checked([&] {
        if (regs.size() != all.size())
            throw std::invalid_argument("as many values as registers");
        for (size_t i = 0; i < regs.size(); i++) c.it->set(regs[i], all[i]);
    });
}

nb::list cpu_get_many(PyCpu& c, nb::handle registers) {
    nb::list out;
    for (int reg : numbers<int>(registers)) out.append(checked([&] { return c.it->get(reg); }));
    return out;
}

nb::bytes cpu_get_bytes(PyCpu& c, int reg, size_t size) {
    nb::bytes b = fresh_bytes(size);
    memset(PyBytes_AS_STRING(b.ptr()), 0, size);
    checked([&] { c.it->get_bytes(reg, PyBytes_AS_STRING(b.ptr()), size); });
    return b;
}

void bind_cpu(nb::module_& m) {
    nb::class_<PyCpu>(m, "Cpu")
        .def(
            "__init__",
            [](PyCpu* self, PyEngine& engine, PyCpu* copy) {
                new (self) PyCpu{std::make_shared<Cpu>(engine.it, copy ? copy->it.get() : nullptr)};
            },
            nb::arg("engine"), nb::arg("copy") = nb::none())
        .def_prop_ro("call", cpu_call)
        .def_prop_ro("fault",
                     [](PyCpu& c) {
                         return nb::make_tuple(c.it->fault_address, c.it->fault_access,
                                               c.it->fault_mapped);
                     })
        .def_prop_ro("trap", [](PyCpu& c) { return c.it->trap; })
        .def("bind",
             [](PyCpu& c) {
                 slot_bind(&c.it->slot);
                 t_cpu = c.it;
             })
        .def("run", cpu_run<false>)
        .def("step", cpu_run<true>)
        .def("kick", [](PyCpu& c) { c.it->kick(); })
        .def("unkick", [](PyCpu& c) { return slot_unkick(&c.it->slot); })
        .def(
            "get", [](PyCpu& c, int reg) { return checked([&] { return c.it->get(reg); }); },
            nb::arg("register"))
        .def(
            "set",
            [](PyCpu& c, int reg, nb::handle value) {
                uint64_t v = bits(value);
                checked([&] { c.it->set(reg, v); });
            },
            nb::arg("register"), nb::arg("value"))
        .def("get_many", cpu_get_many, nb::arg("registers"))
        .def("set_many", cpu_set_many, nb::arg("registers"), nb::arg("values"))
        .def("get_bytes", cpu_get_bytes, nb::arg("register"), nb::arg("size"))
        .def(
            "set_bytes",
            [](PyCpu& c, int reg, nb::handle data) {
                Buffer b(data);
                checked([&] { c.it->set_bytes(reg, b.view.buf, size_t(b.view.len)); });
            },
            nb::arg("register"), nb::arg("data"))
        .def(
            "set_result",
            [](PyCpu& c, nb::handle value) { c.it->set_result(int64_t(bits(value))); },
            nb::arg("value"))
        .def("reset", [](PyCpu& c) { c.it->reset(); })
        .def_prop_ro("signalled", [](PyCpu& c) { return c.it->slot.signo.load(); })
        .def_prop_ro("entered", [](PyCpu& c) { return c.it->slot.entered.load() != 0; })
        .def("take_signal", cpu_take_signal);
}

template <int N>
void constants(nb::module_& m, const char* name, const std::pair<const char*, int> (&values)[N]) {
    nb::dict body;
    for (auto [key, value] : values) body[key] = value;
    body["__module__"] = "runtime._core";
    m.attr(name) =
        nb::handle(reinterpret_cast<PyObject*>(&PyType_Type))(name, nb::make_tuple(), body);
}

void bind_values(nb::module_& m) {
    nb::dict body;
    body["address"] =
        nb::module_::import_("builtins").attr("property")(nb::cpp_function([](nb::handle self) {
            return nb::object(self.attr("args")[0]);
        }));
    memory_fault = PyErr_NewExceptionWithDoc(
        "runtime._core.MemoryFault",
        "A guest address that could not be read or written. args == (address,).", nullptr,
        body.ptr());
    m.attr("MemoryFault") = nb::steal(memory_fault);
    m.attr("R") = int(R), m.attr("W") = int(W), m.attr("X") = int(X),
    m.attr("SHARED") = int(SHARED);
    constants<8>(m, "Stop",
                 {{"SYSCALL", stop::SYSCALL},
                  {"FAULT", stop::FAULT},
                  {"ILLEGAL", stop::ILLEGAL},
                  {"TRAP", stop::TRAP},
                  {"BREAKPOINT", stop::BREAKPOINT},
                  {"KICKED", stop::KICKED},
                  {"RESIZED", stop::RESIZED},
                  {"STEPPED", stop::STEPPED}});
    constants<3>(m, "ErrorStyle",
                 {{"NEGATIVE", style::NEGATIVE},
                  {"FLAG_REGISTER", style::FLAG_REGISTER},
                  {"CR0_SO", style::CR0_SO}});
    m.attr("ERESTART") = NOT_DONE;
    m.attr("KICK_SIGNAL") = KICK_SIGNAL;
    m.attr("HOST_PAGE") = sysconf(_SC_PAGESIZE);
#if defined(__x86_64__)
    m.attr("HOST_MACHINE") = "x86_64";
#else
    m.attr("HOST_MACHINE") = "aarch64";
#endif
    nb::dict sys;
    for (auto& [name, number] : host_syscall_numbers()) sys[name] = number;
    m.attr("SYS") = sys;
    nb::object names = nb::steal(PyTuple_New(FAST_CALL_COUNT));
    for (int i = 0; i < FAST_CALL_COUNT; i++)
        PyTuple_SET_ITEM(names.ptr(), i, PyUnicode_InternFromString(FAST_CALL_NAMES[i]));
    m.attr("FAST_CALLS") = names;
}

}  // namespace

NB_MODULE(_core, m) {
    nb::set_leak_warnings(false);  // the loop ends by exit_group, not by tearing Python down
    bind_values(m);
    bind_table(m);
    bind_engine(m);
    bind_cpu(m);
    bind_host(m);
}
