#include "service/simulator/physics.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numbers>

namespace nacelle::simulator {
namespace {

/// SplitMix64 (Steele, Lea, Flood 2014): small, seedable per engine, and the same numbers on every machine, which
/// the standard library's distributions do not promise.
class Randomness {
 public:
  explicit Randomness(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15ull;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }
  double between(double low, double high) { return low + (high - low) * uniform(); }
  double normal() {  // Box-Muller, one of the pair
    const double u = 1.0 - uniform();
    const double v = uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(2.0 * std::numbers::pi * v);
  }

 private:
  std::uint64_t state_;
};

constexpr std::size_t sensor_count = 21;
using Sensors = std::array<double, sensor_count>;

struct Regime {
  double altitude_kft, mach, throttle;
  double share;     // of flights: NASA's six-condition files fly the last one more often
  Sensors nominal;  // of a young engine, NASA's units
};

// The regimes of C-MAPSS FD002 and FD004 and, as nominal values, the mean readings of young engines in each.
constexpr std::array<Regime, 6> regimes{{
    {0, 0, 100, 0.15, {518.67, 642.34,  1586.6, 1402.3, 14.62, 21.61, 553.99, 2388.06, 9055.2, 1.30,  47.35,
                       521.93, 2388.06, 8136.6, 8.4176, 0.03,  392.2, 2388,   100,     38.94,  23.359}},
    {10, 0.25, 100, 0.15, {489.05, 604.62,  1498.5, 1305.4, 10.52, 15.49, 394.72, 2318.89, 8777.7, 1.26,  45.31,
                           371.79, 2388.09, 8130.4, 8.6384, 0.03,  368.7, 2319,   100,     28.61,  17.164}},
    {20, 0.70, 100, 0.15, {491.19, 607.30,  1482.4, 1248.1, 9.35, 13.65, 334.85, 2323.94, 8722.3, 1.08,  44.28,
                           315.17, 2388.07, 8060.7, 9.2067, 0.02, 364.5, 2324,   100,     24.53,  14.710}},
    {25, 0.62, 60, 0.15, {462.54, 536.69,  1259.9, 1046.0,  7.05, 9.03,  175.57, 1915.33, 8009.3, 0.94, 36.65,
                          164.71, 2028.22, 7873.7, 10.8821, 0.02, 306.6, 1915,   84.93,   14.30,  8.585}},
    {35, 0.84, 100, 0.15, {449.44, 555.53,  1363.7, 1126.5, 5.48, 8.00,  194.63, 2222.94, 8349.2, 1.02, 41.82,
                           183.18, 2388.03, 8067.1, 9.3064, 0.02, 333.4, 2223,   100,     14.87,  8.924}},
    {42, 0.84, 100, 0.25, {445.00, 549.45,  1351.1, 1122.5, 3.91, 5.71,  138.76, 2211.90, 8320.2, 1.02, 41.98,
                           130.65, 2387.98, 8084.0, 9.3528, 0.02, 330.2, 2212,   100,     10.62,  6.370}},
}};

// How far each sensor moves at sea level when a component has worn to its limit, all else young: the linearised gas path.
// Signs from the engine cycle: a less efficient compressor needs more work for less pressure (T30 and T50 rise, P30 and
// the coolant bleeds fall, fuel and bleed enthalpy rise); a worn fan lets the core be driven harder (P30, Ps30, phi and
// the bleeds rise, bypass ratio falls). Sizes of the order seen in C-MAPSS's last flights.
struct Response {
  Sensors by_efficiency;
  Sensors by_flow;
};
//                               T2 T24   T30 T50  P2 P15 P30   Nf   Nc   epr   Ps30 phi   NRf  NRc  BPR   farB htB  dmd  %  W31 W32
constexpr Response compressor{
    {0, 0.85, 9.5, 17.0, 0, 0, -1.5, 0.11, -20, 0, 0.50, -1.30, 0.11, -22, 0.064, 0, 2.5, 0, 0, -0.31, -0.18},
    {0, 0.55, 7.0, 11.0, 0, 0, -1.1, 0.08, 85, 0, 0.32, -0.95, 0.08, 70, 0.042, 0, 1.7, 0, 0, -0.21, -0.12}};
constexpr Response fan{
    {0, 0.75, 12.0, 17.0, 0, 0.004, 8.0, 0.34, 40, 0.009, 0.58, 7.8, 0.34, 31, -0.090, 0, 3.1, 0, 0, 0.33, 0.20},
    {0, 0.55, 9.0, 12.5, 0, -0.008, 6.4, 0.25, 33, 0.007, 0.43, 6.0, 0.25, 26, -0.066, 0, 2.3, 0, 0, 0.25, 0.15}};

// Spread of one reading around its true value, at sea level, and the digits NASA's files print.
constexpr Sensors noise{0,    0.30, 4.0, 4.0,    0, 0.002, 0.43, 0.04, 4.2,  0.0004, 0.10,
                        0.32, 0.04, 3.2, 0.0204, 0, 0.94,  0,    0,    0.10, 0.061};
constexpr std::array<int, sensor_count> decimals{2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 4, 2, 0, 0, 2, 2, 4};
constexpr std::array<int, 3> setting_decimals{4, 4, 1};

double rounded(double value, int digits) {
  constexpr std::array<double, 5> scale{1, 10, 100, 1000, 10000};
  const double r = std::round(value * scale[digits]) / scale[digits];
  return r == 0 ? 0 : r;  // no "-0.0000"
}

/// Wear of one component's efficiency or flow, as a share of its limit: initial + scale (exp(a t^b) - 1), t in flights.
/// Saxena et al., section "damage modelling": 0.001 <= a <= 0.003, 1.4 <= b <= 1.6. With a scale of a hundredth the
/// limit is reached after 100 to 420 flights, as C-MAPSS engines do.
struct Wear {
  double initial = 0;
  double rate = 0;      // a
  double exponent = 1;  // b
  double scale = 0.01;
  double at(double flights) const { return initial + scale * (std::exp(rate * std::pow(flights, exponent)) - 1.0); }
};

struct Component {
  Wear efficiency, flow;
};

/// A failing component wears both ways, not equally; a healthy one keeps little more than its initial wear.
Component draw_component(Randomness& random, bool failing) {
  // A healthy component takes the slowest wear there is, so that it never fails before the other.
  const double rate = failing ? random.between(0.001, 0.003) : 0.001;
  const double exponent = failing ? random.between(1.4, 1.6) : 1.4;
  const double initial_efficiency = random.between(0.0, 0.10);
  const double initial_flow = random.between(0.0, 0.10);
  const double share = random.between(0.5, 1.0);
  const double scale = failing ? 0.01 : random.between(0.0, 0.0004);
  return {{initial_efficiency, rate, exponent, scale}, {initial_flow, rate, exponent, scale * share}};
}

/// The smallest of the operating margins, 1 for new and 0 for failed: stall margins of compressor and fan, and the
/// exhaust gas temperature margin, to which both contribute.
double health(double ce, double cf, double fe, double ff) {
  const double compressor_stall = 1.0 - (0.55 * ce + 0.45 * cf);
  const double fan_stall = 1.0 - (0.55 * fe + 0.45 * ff);
  const double exhaust_temperature = 1.0 - (0.65 * ce + 0.25 * cf + 0.45 * fe + 0.25 * ff);
  return std::min({compressor_stall, fan_stall, exhaust_temperature});
}

std::size_t draw_regime(Randomness& random, int conditions) {
  if (conditions == 1) return 0;
  double u = random.uniform();
  for (std::size_t i = 0; i + 1 < regimes.size(); ++i) {
    if (u < regimes[i].share) return i;
    u -= regimes[i].share;
  }
  return regimes.size() - 1;
}

class Engine {
 public:
  Engine(Randomness random, const FleetSpec& spec) : random_(random), conditions_(spec.conditions) {
    const bool fan_fails = spec.fault_modes == 2 && random_.uniform() < 0.5;
    compressor_ = draw_component(random_, !fan_fails);
    fan_ = draw_component(random_, fan_fails);
    for (std::size_t s = 0; s < sensor_count; ++s) build_[s] = 0.5 * noise[s] * random_.normal();
  }

  /// Every flight until the health margin is used up; the last flight is the failure's.
  History run_to_failure() {
    History history;
    double age = 0;
    while (true) {
      // Saxena's process noise: one flight wears more than another; never backwards.
      age += std::clamp(1.0 + 0.25 * random_.normal(), 0.0, 2.0);
      const double ce = compressor_.efficiency.at(age), cf = compressor_.flow.at(age);
      const double fe = fan_.efficiency.at(age), ff = fan_.flow.at(age);
      history.push_back(fly(ce, cf, fe, ff));
      if (health(ce, cf, fe, ff) <= 0) return history;
    }
  }

  Randomness& randomness() { return random_; }

 private:
  Flight fly(double ce, double cf, double fe, double ff) {
    const Regime& regime = regimes[draw_regime(random_, conditions_)];
    Flight flight;
    const std::array<double, 3> settings{regime.altitude_kft + 0.0022 * random_.normal(), regime.mach + 0.0003 * random_.normal(),
                                         regime.throttle};
    for (std::size_t i = 0; i < settings.size(); ++i) flight.settings[i] = rounded(settings[i], setting_decimals[i]);
    for (std::size_t s = 0; s < sensor_count; ++s) {
      const double shift =
          compressor.by_efficiency[s] * ce + compressor.by_flow[s] * cf + fan.by_efficiency[s] * fe + fan.by_flow[s] * ff;
      const double error = build_[s] + noise[s] * random_.normal();
      // Relative responses are taken as the same in every regime.
      const double relative = regime.nominal[s] / regimes[0].nominal[s];
      flight.sensors[s] = rounded(regime.nominal[s] + relative * (shift + error), decimals[s]);
    }
    return flight;
  }

  Randomness random_;
  int conditions_;
  Component compressor_, fan_;
  Sensors build_{};  // what manufacture left: an engine's own offset of each sensor
};

Engine make_engine(const FleetSpec& spec, std::uint64_t set, int unit) {
  Randomness of_seed(spec.seed);
  Randomness of_set(of_seed.next() ^ (set * 0xd1342543de82ef95ull));
  return Engine(Randomness(of_set.next() + static_cast<std::uint64_t>(unit) * 0x2545f4914f6cdd1dull), spec);
}

}  // namespace

Result<Fleet> simulate_fleet(const FleetSpec& spec) {
  if (spec.engines < 1 || spec.engines > 10000)
    return fail(Fault::invalid_input, fmt::format("engines: expected 1 to 10000, found {}", spec.engines));
  if (spec.conditions != 1 && spec.conditions != 6)
    return fail(Fault::invalid_input, fmt::format("conditions: expected 1 or 6, found {}", spec.conditions));
  if (spec.fault_modes != 1 && spec.fault_modes != 2)
    return fail(Fault::invalid_input, fmt::format("fault modes: expected 1 or 2, found {}", spec.fault_modes));

  Fleet fleet;
  for (int unit = 1; unit <= spec.engines; ++unit) fleet.train.push_back(make_engine(spec, 1, unit).run_to_failure());
  for (int unit = 1; unit <= spec.engines; ++unit) {
    Engine engine = make_engine(spec, 2, unit);
    History history = engine.run_to_failure();
    const int life = static_cast<int>(history.size());
    // NASA's test engines are cut with 6 to 195 flights left, at least some 20 flights in.
    const int latest_cut = std::max(1, life - 6);
    const int earliest_cut = std::min(latest_cut, std::max({20, life / 5, life - 150}));
    const int kept = earliest_cut + static_cast<int>(engine.randomness().uniform() * (latest_cut - earliest_cut + 1));
    history.resize(static_cast<std::size_t>(kept));
    fleet.test.push_back(std::move(history));
    fleet.remaining.push_back(life - kept);
  }
  return fleet;
}

std::string print_histories(const std::vector<History>& histories) {
  std::string out;
  const auto to = std::back_inserter(out);
  for (std::size_t unit = 0; unit < histories.size(); ++unit) {
    for (std::size_t cycle = 0; cycle < histories[unit].size(); ++cycle) {
      const Flight& flight = histories[unit][cycle];
      fmt::format_to(to, "{} {}", unit + 1, cycle + 1);
      for (std::size_t i = 0; i < flight.settings.size(); ++i)
        fmt::format_to(to, " {:.{}f}", flight.settings[i], setting_decimals[i]);
      for (std::size_t s = 0; s < sensor_count; ++s) fmt::format_to(to, " {:.{}f}", flight.sensors[s], decimals[s]);
      out += "  \n";
    }
  }
  return out;
}

std::string print_remaining(const std::vector<int>& remaining) {
  std::string out;
  for (const int cycles : remaining) fmt::format_to(std::back_inserter(out), "{} \n", cycles);
  return out;
}

}  // namespace nacelle::simulator
