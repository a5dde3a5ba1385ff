// The guest's page table: guest address -> (offset in the arena, permissions), and copies through
// it.
//
// It is a map of ranges, not of pages: a guest that reserves terabytes costs one entry. The engine
// asks it at a TLB miss (`lookup`); Python changes it. The odd thing is the two page sets at the
// end: which arena pages may hold translated code, and which the guest may store to without our
// noticing. They make an ordinary host write free of any call into the translator.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace octavo {

enum Perms : int { R = 1, W = 2, X = 4, SHARED = 8, BEYOND = 16 };
constexpr int RWX = R | W | X;

class Engine;

// A reservation of host address space for all guest memory.
class Arena {
  public:
    Arena(uint64_t size, uint64_t least);  // throws std::system_error
    ~Arena();
    Arena(const Arena&) = delete;
    uint64_t base = 0;
    uint64_t size = 0;
    uint8_t* at(uint64_t offset) const { return reinterpret_cast<uint8_t*>(base + offset); }
};

// A sparse set of page numbers: two levels, 32768 pages a leaf.
class PageSet {
  public:
    explicit PageSet(uint64_t pages) : tops_((pages >> SHIFT) + 1), leaves_(tops_array(tops_)) {}
    bool test(uint64_t page) const {
        const uint64_t* leaf = leaves_[page >> SHIFT];
        return leaf && (leaf[(page & MASK) / 64] >> (page & 63) & 1);
    }
    void set(uint64_t page) {
        uint64_t*& leaf = leaves_[page >> SHIFT];
        if (!leaf)
            leaf = static_cast<uint64_t*>(calloc((MASK + 1) / 64, sizeof(uint64_t)));
        leaf[(page & MASK) / 64] |= uint64_t(1) << (page & 63);
    }
    void reset(uint64_t page) {
        if (uint64_t* leaf = leaves_[page >> SHIFT])
            leaf[(page & MASK) / 64] &= ~(uint64_t(1) << (page & 63));
    }
    // The first member in [page, end), or end. Skips empty leaves, so that a large range is cheap.
    uint64_t next(uint64_t page, uint64_t end) const;
    ~PageSet();
    PageSet(const PageSet&) = delete;

  private:
    static constexpr int SHIFT = 15;
    static constexpr uint64_t MASK = (uint64_t(1) << SHIFT) - 1;
    static uint64_t** tops_array(uint64_t n) {
        return static_cast<uint64_t**>(calloc(n, sizeof(uint64_t*)));  // large: lazily zero
    }
    uint64_t tops_;
    uint64_t** leaves_;
};

// Thrown where Python sees MemoryFault: the first guest byte that failed. beyond: SIGBUS rather
// than SIGSEGV.
struct Fault {
    uint64_t address;
    bool beyond = false;
};

struct Mapping {
    uint64_t start, end, offset;  // offset: of `start`, in the arena
    int perms;
};

struct Span {
    uint8_t* host;
    uint64_t length;
};

class PageTable {
  public:
    PageTable(std::shared_ptr<Arena> arena, uint64_t page);

    const std::shared_ptr<Arena> arena;
    const uint64_t page;
    const int page_shift;

    // Changes. Those that revoke something flush the engines' TLBs before they return.
    void install(uint64_t guest, uint64_t length, uint64_t offset, int perms);
    void protect(uint64_t guest, uint64_t length, int perms);
    void remove(uint64_t guest, uint64_t length);
    void clear();
    void limit(uint64_t guest, uint64_t length);
    // Files whose lengths matter to what is installed: (descriptor, bytes). `resized` tells whether
    // one is another than that; without such files it costs nothing.
    void watch(std::vector<std::pair<int, uint64_t>> files);
    bool resized();
    std::vector<Mapping> ranges();
    bool lookup(uint64_t guest, Mapping& found);
    // A byte of the range may be, as far as is known.
    bool writable(uint64_t guest, uint64_t length);
    // The guest address that an arena offset is mapped at, preferring accessible mappings; false if
    // none.
    bool reverse(uint64_t offset, uint64_t& guest);
    // Whether it is mapped at more than one.
    bool ambiguous(uint64_t offset);

    // Copies. They throw Fault at the first byte that cannot be accessed; what came before is done.
    void read(uint64_t guest, void* into, uint64_t length);
    void write(uint64_t guest, const void* from, uint64_t length, bool forced);
    bool cstring(uint64_t guest, uint64_t limit, std::vector<char>& into);  // false: no NUL
    uint32_t read_u32(uint64_t guest);
    uint32_t compare_exchange_u32(uint64_t guest, uint32_t expected, uint32_t value);
    std::vector<Span> spans(uint64_t guest, uint64_t length, int access);
    uint8_t* host(uint64_t guest, uint64_t length, int access);

    void journal_begin();
    struct Written {
        uint64_t guest, offset;       // the page, and where it lies in the arena
        std::vector<uint8_t> before;  // its bytes from before it was written to
    };
    std::vector<Written> journal_take();

    // For the engine, at a TLB fill and with the baton held.
    bool journaling() const { return journal_on_; }
    void journal_add(uint64_t guest_page);
    PageSet code;     // arena pages that an engine may have translated
    PageSet written;  // arena pages that a TLB entry may let the guest store to directly

    // Which arena pages have been accessed, for who wants to know: where a host page is larger than
    // the guest's, the host cannot say which of its parts are in use.
    std::atomic<bool> counting{false};
    void touch(uint64_t offset, uint64_t length);
    void forget(uint64_t offset, uint64_t length);  // flushes: the next access counts again
    // A byte for each `unit` bytes: 1 when any page of it has.
    std::string touched(uint64_t offset, uint64_t length, uint64_t unit);

    void attach(Engine* engine);
    void detach(Engine* engine);

  private:
    void check(uint64_t guest, uint64_t length, uint64_t offset) const;
    bool erase_locked(uint64_t guest, uint64_t end);  // true: something was there
    void journal_locked(uint64_t guest_page);
    void split_locked(uint64_t at);
    void merge_locked(uint64_t start, uint64_t end);
    const Mapping* find_locked(uint64_t guest) const;
    // The piece at `guest` (at most `length` bytes) if it has `access`; else throws Fault.
    Span piece(uint64_t guest, uint64_t length, int access, bool forced);
    void flush(uint64_t guest, uint64_t end);
    void host_writes(uint64_t guest, uint64_t offset, uint64_t length);

    void touch_locked(uint64_t offset, uint64_t length);

    PageSet touched_;                  // guarded by lock_
    std::mutex lock_;                  // guards map_, journal_; order: the baton first
    std::map<uint64_t, Mapping> map_;  // by start
    std::vector<Engine*> engines_;
    std::vector<std::pair<int, uint64_t>> watched_;  // guarded by lock_
    std::atomic<bool> watching_{false};
    bool journal_on_ = false;
    std::map<uint64_t, std::vector<uint8_t>> journal_;  // guest page, its bytes before
};

}  // namespace octavo
