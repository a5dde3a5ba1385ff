// See page_table.h. Ranges are kept by start address and merged when neighbours continue each other
// in guest address, arena offset and permissions.
#include "page_table.h"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>
#include <system_error>

#include "engine.h"
#include "signals.h"

namespace octavo {

Arena::Arena(uint64_t wanted, uint64_t least) {
    for (size = wanted; size >= least && size > 0; size /= 2) {
        void* at =
            mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (at != MAP_FAILED) {
            base = reinterpret_cast<uint64_t>(at);
            signals_register_arena(base, size);
            return;
        }
    }
    throw std::system_error(ENOMEM, std::generic_category(), "arena");
}

Arena::~Arena() {
    signals_forget_arena(base);
    munmap(reinterpret_cast<void*>(base), size);
}

uint64_t PageSet::next(uint64_t page, uint64_t end) const {
    while (page < end) {
        if (!leaves_[page >> SHIFT])
            page = (page | MASK) + 1;
        else if (test(page))
            return page;
        else
            page++;
    }
    return end;
}

PageSet::~PageSet() {
    for (uint64_t i = 0; i < tops_; i++) free(leaves_[i]);
    free(leaves_);
}

PageTable::PageTable(std::shared_ptr<Arena> a, uint64_t p)
    : arena(std::move(a)),
      page(p),
      page_shift(__builtin_ctzll(p)),
      code(arena->size >> page_shift),
      written(arena->size >> page_shift),
      touched_(arena->size >> page_shift) {
    if (p == 0 || (p & (p - 1)))
        throw std::invalid_argument("the page is a power of two");
}

void PageTable::check(uint64_t guest, uint64_t length, uint64_t offset) const {
    if ((guest | length | offset) & (page - 1))
        throw std::invalid_argument("not a multiple of the engine page");
    if (guest + length < guest && guest + length != 0)
        throw std::invalid_argument("the range wraps");
    if (offset > arena->size || length > arena->size - offset)
        throw std::invalid_argument("beyond the arena");
}

// A range may end at 2^64, which wraps to 0: ends are kept as the last byte here.
static uint64_t last_of(uint64_t guest, uint64_t length) {
    return guest + length - 1;
}

const Mapping* PageTable::find_locked(uint64_t guest) const {
    auto it = map_.upper_bound(guest);
    if (it == map_.begin())
        return nullptr;
    --it;
    return guest <= it->second.end ? &it->second : nullptr;  // `end` is inclusive inside the map
}

void PageTable::split_locked(uint64_t at) {
    auto it = map_.lower_bound(at);
    if (it == map_.begin())
        return;
    --it;
    Mapping& left = it->second;
    if (at > left.end)
        return;
    Mapping right{at, left.end, left.offset + (at - left.start), left.perms};
    left.end = at - 1;
    map_.emplace(at, right);
}

bool PageTable::erase_locked(uint64_t guest, uint64_t last) {
    split_locked(guest);
    if (last + 1)
        split_locked(last + 1);
    auto from = map_.lower_bound(guest);
    auto to = map_.upper_bound(last);
    bool any = from != to;
    map_.erase(from, to);
    return any;
}

void PageTable::merge_locked(uint64_t start, uint64_t last) {
    auto it = map_.lower_bound(start);
    if (it != map_.begin())
        --it;
    while (it != map_.end()) {
        auto next = std::next(it);
        if (next == map_.end() || (last + 1 && it->second.start > last + 1))
            return;
        Mapping &a = it->second, &b = next->second;
        uint64_t span = a.end - a.start + 1;
        if (a.end + 1 == b.start && a.perms == b.perms && a.offset + span == b.offset) {
            a.end = b.end;
            map_.erase(next);
        } else {
            it = next;
        }
    }
}

void PageTable::install(uint64_t guest, uint64_t length, uint64_t offset, int perms) {
    check(guest, length, offset);
    if (length == 0)
        return;
    uint64_t last = last_of(guest, length);
    bool stale;
    {
        std::lock_guard hold(lock_);
        stale = erase_locked(guest, last);
        map_.emplace(guest, Mapping{guest, last, offset, perms & (RWX | SHARED)});
        merge_locked(guest, last);
    }
    if (stale)
        flush(guest, last);
}

void PageTable::protect(uint64_t guest, uint64_t length, int perms) {
    check(guest, length, 0);
    if (length == 0)
        return;
    uint64_t last = last_of(guest, length);
    bool revoked = false;
    {
        std::lock_guard hold(lock_);
        split_locked(guest);
        if (last + 1)
            split_locked(last + 1);
        for (auto it = map_.lower_bound(guest); it != map_.end() && it->first <= last; ++it) {
            revoked |= (it->second.perms & RWX & ~perms) != 0;
            it->second.perms = (it->second.perms & (SHARED | BEYOND)) | (perms & RWX);
        }
        merge_locked(guest, last);
    }
    if (revoked)
        flush(guest, last);
}

void PageTable::remove(uint64_t guest, uint64_t length) {
    check(guest, length, 0);
    if (length == 0)
        return;
    uint64_t last = last_of(guest, length);
    bool stale;
    {
        std::lock_guard hold(lock_);
        stale = erase_locked(guest, last);
    }
    if (stale)
        flush(guest, last);
}

void PageTable::clear() {
    bool any;
    {
        std::lock_guard hold(lock_);
        any = !map_.empty();
        map_.clear();
    }
    if (any)
        flush(0, ~uint64_t(0));
}

void PageTable::limit(uint64_t guest, uint64_t length) {
    check(guest, length, 0);
    if (length == 0)
        return;
    uint64_t last = last_of(guest, length);
    {
        std::lock_guard hold(lock_);
        split_locked(guest);
        if (last + 1)
            split_locked(last + 1);
        for (auto it = map_.lower_bound(guest); it != map_.end() && it->first <= last; ++it)
            it->second.perms |= BEYOND;
        merge_locked(guest, last);
    }
    flush(guest, last);
}

void PageTable::watch(std::vector<std::pair<int, uint64_t>> files) {
    std::lock_guard hold(lock_);
    watched_ = std::move(files);
    watching_.store(!watched_.empty(), std::memory_order_relaxed);
}

bool PageTable::resized() {
    if (__builtin_expect(!watching_.load(std::memory_order_relaxed), 1))
        return false;
    std::lock_guard hold(lock_);
    for (auto [fd, size] : watched_) {
        struct stat status;
        if (fstat(fd, &status) == 0 && uint64_t(status.st_size) != size)
            return true;
    }
    return false;
}

std::vector<Mapping> PageTable::ranges() {
    std::lock_guard hold(lock_);
    std::vector<Mapping> out;
    for (auto& [start, m] : map_) {
        int perms = m.perms & RWX;
        if (!out.empty()) {
            Mapping& back = out.back();
            if (back.end == start && back.perms == perms &&
                back.offset + (back.end - back.start) == m.offset) {
                back.end = m.end + 1;
                continue;
            }
        }
        out.push_back({start, m.end + 1, m.offset, perms});
    }
    return out;
}

bool PageTable::lookup(uint64_t guest, Mapping& found) {
    std::lock_guard hold(lock_);
    const Mapping* m = find_locked(guest);
    if (m)
        found = *m;
    return m != nullptr;
}

bool PageTable::writable(uint64_t guest, uint64_t length) {
    Mapping m;
    return !lookup(guest, m) || (m.perms & W) || m.end - guest < length;
}

bool PageTable::reverse(uint64_t offset, uint64_t& guest) {
    std::unique_lock hold(lock_, std::try_to_lock);  // called from a signal handler
    if (!hold.owns_lock())
        return false;
    for (auto& [start, m] : map_) {
        if (offset >= m.offset && offset - m.offset <= m.end - m.start && (m.perms & RWX)) {
            guest = start + (offset - m.offset);
            return true;
        }
    }
    return false;
}

bool PageTable::ambiguous(uint64_t offset) {
    std::unique_lock hold(lock_, std::try_to_lock);
    int count = 0;
    if (hold.owns_lock())
        for (auto& [start, m] : map_)
            count += offset >= m.offset && offset - m.offset <= m.end - m.start && (m.perms & RWX);
    return count > 1;
}

void PageTable::flush(uint64_t guest, uint64_t last) {
    for (Engine* engine : engines_) engine->flush_range(guest, last);
}

Span PageTable::piece(uint64_t guest, uint64_t length, int access, bool forced) {
    std::lock_guard hold(lock_);
    const Mapping* m = find_locked(guest);
    if (!m || (!forced && (m->perms & access) != access))
        throw Fault{guest};
    if (m->perms & BEYOND)
        throw Fault{guest, true};
    uint64_t room = m->end - guest;  // one less than the bytes, so that 2^64 fits
    uint64_t offset = m->offset + (guest - m->start), size = length - 1 <= room ? length : room + 1;
    if (counting && length)
        touch_locked(offset, size);
    return {arena->at(offset), size};
}

void PageTable::touch_locked(uint64_t offset, uint64_t length) {
    uint64_t end = ((offset + length - 1) >> page_shift) + 1;
    for (uint64_t p = offset >> page_shift; p < end; p++) touched_.set(p);
}

void PageTable::touch(uint64_t offset, uint64_t length) {
    std::lock_guard hold(lock_);
    touch_locked(offset, length);
}

std::string PageTable::touched(uint64_t offset, uint64_t length, uint64_t unit) {
    std::lock_guard hold(lock_);
    std::string out(length / unit, 0);
    for (char& each : out) {
        uint64_t end = ((offset + unit - 1) >> page_shift) + 1;
        each = touched_.next(offset >> page_shift, end) < end;
        offset += unit;
    }
    return out;
}

void PageTable::forget(uint64_t offset, uint64_t length) {
    bool some = false;
    {
        std::lock_guard hold(lock_);
        uint64_t end = ((offset + length - 1) >> page_shift) + 1;
        for (uint64_t p = touched_.next(offset >> page_shift, end); p < end;
             p = touched_.next(p + 1, end)) {
            touched_.reset(p);
            some = true;
        }
    }
    if (some)
        for (Engine* engine : engines_) engine->flush();
}

void PageTable::host_writes(uint64_t guest, uint64_t offset, uint64_t length) {
    if (journal_on_) {
        std::lock_guard hold(lock_);
        uint64_t last = guest + length - 1;
        for (uint64_t p = guest & ~(page - 1); p <= last; p += page) {
            journal_locked(p);
            if (p + page == 0)
                break;
        }
    }
    uint64_t first = offset >> page_shift, end = ((offset + length - 1) >> page_shift) + 1;
    if (code.next(first, end) == end)
        return;
    for (Engine* engine : engines_) engine->invalidate(offset, length);
}

void PageTable::read(uint64_t guest, void* into, uint64_t length) {
    auto* to = static_cast<uint8_t*>(into);
    while (length) {
        Span s = piece(guest, length, R, false);
        uint64_t done = guarded_copy(to, s.host, s.length);
        if (done < s.length)
            throw Fault{guest + done, true};
        guest += s.length, to += s.length, length -= s.length;
    }
}

void PageTable::write(uint64_t guest, const void* from, uint64_t length, bool forced) {
    auto* source = static_cast<const uint8_t*>(from);
    while (length) {
        Span s = piece(guest, length, W, forced);
        host_writes(guest, uint64_t(s.host) - arena->base, s.length);
        uint64_t done = guarded_copy(s.host, source, s.length);
        if (done < s.length)
            throw Fault{guest + done, true};
        guest += s.length, source += s.length, length -= s.length;
    }
}

bool PageTable::cstring(uint64_t guest, uint64_t limit, std::vector<char>& into) {
    while (limit) {
        uint64_t to_page_end =
            page - (guest & (page - 1));  // a string seldom needs more than this page
        Span s = piece(guest, std::min(limit, to_page_end), R, false);
        size_t old = into.size();
        into.resize(old + s.length);
        uint64_t done = guarded_copy(into.data() + old, s.host, s.length);
        if (void* nul = memchr(into.data() + old, 0, done)) {
            into.resize(static_cast<char*>(nul) - into.data());
            return true;
        }
        if (done < s.length)
            throw Fault{guest + done, true};
        guest += s.length, limit -= s.length;
    }
    return false;
}

uint32_t PageTable::read_u32(uint64_t guest) {
    uint32_t value;
    read(guest, &value, sizeof value);
    return value;
}

uint32_t PageTable::compare_exchange_u32(uint64_t guest, uint32_t expected, uint32_t value) {
    if (guest & 3)
        throw std::invalid_argument("not aligned");
    Span s = piece(guest, 4, R | W, false);
    host_writes(guest, uint64_t(s.host) - arena->base, 4);
    if (!guarded_compare_exchange(reinterpret_cast<uint32_t*>(s.host), expected, value))
        throw Fault{guest, true};
    return expected;
}

std::vector<Span> PageTable::spans(uint64_t guest, uint64_t length, int access) {
    std::vector<Span> out;
    uint64_t start = guest;
    while (length) {
        Span s;
        try {
            s = piece(guest, length, access, false);
        } catch (const Fault&) {
            if (guest == start)
                throw;
            break;
        }
        if (access & W)
            host_writes(guest, uint64_t(s.host) - arena->base, s.length);
        if (!out.empty() && out.back().host + out.back().length == s.host)
            out.back().length += s.length;
        else
            out.push_back(s);
        guest += s.length, length -= s.length;
    }
    return out;
}

uint8_t* PageTable::host(uint64_t guest, uint64_t length, int access) {
    uint8_t* start = nullptr;
    uint64_t have = 0;
    do {
        Span s = piece(guest + have, std::max<uint64_t>(length - have, 1), access, false);
        if (!start)
            start = s.host;
        else if (start + have != s.host)
            throw Fault{guest + have};
        if (access & W)
            host_writes(guest + have, uint64_t(s.host) - arena->base, s.length);
        have += s.length;
    } while (have < length);
    return start;
}

void PageTable::journal_begin() {
    {
        std::lock_guard hold(lock_);
        journal_.clear();
        journal_on_ = true;
    }
    flush(0, ~uint64_t(0));
}

void PageTable::journal_add(uint64_t guest_page) {
    std::lock_guard hold(lock_);
    journal_locked(guest_page);
}

// What the page held before goes with it: other tasks of the parent go on meanwhile, so that only
// the bytes the child has changed may be given back.
void PageTable::journal_locked(uint64_t guest_page) {
    auto [entry, fresh] = journal_.try_emplace(guest_page);
    const Mapping* m = fresh ? find_locked(guest_page) : nullptr;
    if (!m || m->perms & (SHARED | BEYOND))
        return;
    entry->second.resize(page);
    guarded_copy(entry->second.data(), arena->at(m->offset + (guest_page - m->start)), page);
}

std::vector<PageTable::Written> PageTable::journal_take() {
    std::lock_guard hold(lock_);
    journal_on_ = false;
    std::vector<Written> out;
    for (auto& [guest, before] : journal_) {
        const Mapping* m = find_locked(guest);
        if (m && !(m->perms & (SHARED | BEYOND)) && !before.empty())
            out.push_back({guest, m->offset + (guest - m->start), std::move(before)});
    }
    journal_.clear();
    return out;
}

void PageTable::attach(Engine* engine) {
    engines_.push_back(engine);
}

void PageTable::detach(Engine* engine) {
    engines_.erase(std::remove(engines_.begin(), engines_.end(), engine), engines_.end());
}

}  // namespace octavo
