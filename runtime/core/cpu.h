// The registers of one task, and the loop that runs guest code with them.
//
// The odd thing: registers stay in the engine until another Cpu needs it, so most stops cost no
// copy. `resident` in the engine says whose they are; everything here that touches registers looks
// there first.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "engine.h"
#include "signals.h"

namespace octavo {

class Cpu {
  public:
    Cpu(std::shared_ptr<Engine> engine, Cpu* copy);
    ~Cpu();

    const std::shared_ptr<Engine> engine;
    Slot slot;

    // After a stop.
    std::array<uint64_t, 7> call{};
    uint64_t fault_address = 0;
    int fault_access = 0, fault_mapped = 0;
    uint32_t trap = 0;

    int run(bool single = false);  // single: one instruction, STEPPED
    void kick() { slot_kick(&slot); }
    void reset();
    uint64_t get(int reg);
    void set(int reg, uint64_t value);
    void get_bytes(int reg, void* into, size_t size);
    void set_bytes(int reg, const void* from, size_t size);
    void set_result(int64_t value);

    // With the baton held: the engine has these registers.
    void make_resident();
    void leave_engine();  // somebody else takes it

  private:
    int attempt();
    void note_call();
    void fresh_registers();

    using WideRegister = std::array<uint8_t, 64>;
    std::vector<std::pair<int, WideRegister>> pending_;  // written while not resident
    uc_context* context_ = nullptr;                      // the registers while not resident
};

}  // namespace octavo
