/*
 * What the workloads of this program share: parameters, clocks, figures.
 */
#include "bench.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace bench
{

void fail(const std::string &what)
{
    std::fprintf(stderr, "%s\n", what.c_str());
    std::_Exit(1);
}

void leave()
{
    std::fflush(stdout);
    std::_Exit(0);
}

// ---- Parameters ----

parameters::parameters(int count, char **texts)
{
    for (int i = 0; i < count; i++) {
        std::string text = texts[i];
        size_t sign = text.find('=');
        if (sign == std::string::npos)
            fail(text + ": NAME=VALUE is wanted");
        values[text.substr(0, sign)] = text.substr(sign + 1);
    }
}

std::string parameters::word(const std::string &name, const std::string &otherwise) const
{
    auto found = values.find(name);
    return found == values.end() ? otherwise : found->second;
}

uint64_t parameters::number(const std::string &name, uint64_t otherwise) const
{
    auto found = values.find(name);
    if (found == values.end())
        return otherwise;
    const std::string &text = found->second;
    char *end;
    uint64_t value = std::strtoull(text.c_str(), &end, 10);
    if (text.empty() || *end != '\0' || text[0] == '-')
        fail(name + "=" + text + ": a number is wanted");
    return value;
}

nanoseconds parameters::seconds() const
{
    std::string text = word("seconds", "1");
    char *end;
    double value = std::strtod(text.c_str(), &end);
    if (text.empty() || *end != '\0' || !(value >= 0 && value < 1e6))
        fail("seconds=" + text + ": a time is wanted");
    return nanoseconds(static_cast<int64_t>(value * 1e9));
}

// ---- Figures ----

bool meter::wants_more(uint64_t count)
{
    last = clock::now();
    last_count = count;
    if (started == clock::time_point{})
        started = last;
    if (begun != clock::time_point{})
        return last - begun < run_time;
    if (last - started >= warm_up) {
        begun = last;
        begun_count = count;
    }
    return true;
}

void meter::print() const
{
    if (last_count == begun_count || begun == clock::time_point{})
        fail("nothing was measured");
    std::chrono::duration<double> elapsed = last - begun;
    figure("rate", static_cast<double>(last_count - begun_count) / elapsed.count());
}

latencies::latencies(nanoseconds run_time) : warm(clock::now() + warm_up), end(warm + run_time)
{
    samples_ns.reserve(1 << 22);
}

bool latencies::wants_more(clock::time_point begun, clock::time_point ended)
{
    if (begun >= warm) {
        auto time_ns = nanoseconds(ended - begun).count();
        samples_ns.push_back(static_cast<uint32_t>(std::min<int64_t>(time_ns, UINT32_MAX)));
    }
    return ended < end || samples_ns.empty();
}

void latencies::print()
{
    std::sort(samples_ns.begin(), samples_ns.end());
    size_t count = samples_ns.size();
    figure("p50_ns", samples_ns[count / 2]);
    figure("p99_ns", samples_ns[count - count / 100 - 1]);
    figure("mean_ns", std::accumulate(samples_ns.begin(), samples_ns.end(), 0.0) / static_cast<double>(count));
}

void figure(const char *name, double value) { std::printf("%s %.*f\n", name, value < 1000 ? 6 : 0, value); }

} // namespace bench
