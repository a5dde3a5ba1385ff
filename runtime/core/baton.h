// The baton: at most one thread is inside an engine, because the engine translates guest atomics as
// plain sequences.
//
// Two kinds of waiters. A task that wants to run lets the runner have its slice before it asks it
// to give way, so that two computing threads switch every few milliseconds and not at every chance.
// Somebody who wants to change the page table asks at once. The odd thing: a released baton goes to
// whoever comes first, also to the thread that just released it, unless a waiter has become urgent;
// strict order would cost two host switches for each system call.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <vector>

#include "signals.h"

namespace octavo {

class Baton {
  public:
    // Not zero: the runner should give way at the next block.
    std::atomic<int> give_way{0};

    void take(bool urgent) {
        std::unique_lock hold(lock_);
        if (!held_ && urgent_ == 0) {
            held_ = true;
            return;
        }
        Waiter self{{}, false, false};
        line_.push_back(&self);
        if (urgent)
            ask(self);
        auto deadline = std::chrono::steady_clock::now() + SLICE;
        while (!self.granted) {
            if (!held_ && (urgent_ == 0 || self.urgent))
                grant(&self);
            else if (self.urgent)
                self.changed.wait(hold);
            else if (self.changed.wait_until(hold, deadline) == std::cv_status::timeout &&
                     !self.granted)
                ask(self);
        }
    }

    void release() {
        std::lock_guard hold(lock_);
        held_ = false;
        if (line_.empty())
            return;
        auto first = std::find_if(line_.begin(), line_.end(), [](Waiter* w) { return w->urgent; });
        Waiter* next = first == line_.end() ? line_.front() : *first;
        if (next->urgent)
            grant(next);
        next->changed.notify_one();
    }

  private:
    static constexpr std::chrono::milliseconds SLICE{5};
    struct Waiter {
        std::condition_variable changed;
        bool granted, urgent;
    };
    void ask(Waiter& waiter) {
        waiter.urgent = true;
        urgent_++;
        give_way.store(1, std::memory_order_seq_cst);
        g_leave.store(1, std::memory_order_seq_cst);
    }
    void grant(Waiter* waiter) {
        held_ = true;
        waiter->granted = true;
        line_.erase(std::find(line_.begin(), line_.end(), waiter));
        urgent_ -= waiter->urgent;
        give_way.store(urgent_ != 0, std::memory_order_relaxed);
    }
    std::mutex lock_;
    std::vector<Waiter*> line_;  // in order of arrival
    int urgent_ = 0;
    bool held_ = false;
};

}  // namespace octavo
