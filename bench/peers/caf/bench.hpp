/*
 * What the workloads of this program share: parameters, clocks, figures, and the
 * actor system that they run in.
 */
#pragma once

#include <caf/all.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace bench
{

using clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr int not_here = 77; // the exit status for what the program does not have
constexpr auto warm_up = std::chrono::milliseconds(50);

// Says what is wrong and ends the program at once, from whatever thread.
[[noreturn]] void fail(const std::string &what);

// Ends the program well and at once: to take down a million actors takes longer than to measure them.
[[noreturn]] void leave();

// NAME=VALUE on the command line.
class parameters
{
  public:
    parameters(int count, char **texts);
    std::string word(const std::string &name, const std::string &otherwise) const;
    uint64_t number(const std::string &name, uint64_t otherwise) const;
    nanoseconds seconds() const; // seconds=S, fractions allowed

  private:
    std::map<std::string, std::string> values;
};

// Counts operations over the time that was asked for, after a warm-up.
class meter
{
  public:
    explicit meter(nanoseconds wanted) : run_time(wanted) {}
    // To be called after each batch, with the count of all so far: true while more are wanted.
    bool wants_more(uint64_t count);
    void print() const;

  private:
    nanoseconds run_time;
    clock::time_point started{}, begun{}, last{};
    uint64_t begun_count = 0, last_count = 0;
};

// The times of single operations, the warm-up left out.
class latencies
{
  public:
    explicit latencies(nanoseconds run_time);
    bool wants_more(clock::time_point begun, clock::time_point ended);
    void print();

  private:
    clock::time_point warm, end;
    std::vector<uint32_t> samples_ns;
};

void figure(const char *name, double value);

// One scheduler thread. It has nobody to steal work from, and a shared queue does better than CAF's default.
class system_config : public caf::actor_system_config
{
  public:
    system_config()
    {
        set("scheduler.max-threads", 1);
        set("scheduler.policy", caf::atom("sharing"));
    }
};

// The workloads. Each returns the exit status.
int run_bounce(const parameters &given);
int run_bounce_types(const parameters &given);
int run_ring(const parameters &given);
int run_call(const parameters &given);
int run_stream(const parameters &given);
int run_round_trip(const parameters &given);
int run_spawn(const parameters &given);
int run_restart(const parameters &given);
int run_idle(const parameters &given);

} // namespace bench
