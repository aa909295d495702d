#include "simulation/world.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "simulation/dice.hpp"

using namespace mlflowha;
using namespace mlflowha::testing;
using namespace std::chrono_literals;

namespace mlflowha_tests {
namespace {

enum class Hurt : std::uint8_t {
  refuse,
  connect_hang,
  black_hole,
  reset,
  drop_before,
  apply_then_drop,
  apply_late,
  delay,
  drip,
  truncate,
  garbage,
  wrong_length,
  internal_error,
  bad_gateway,
  unavailable,
  gateway_timeout,
  throttled,
  database_away,
  driver_error,
  login_page,
  not_mlflow,
  redirect,
};
constexpr std::size_t hurts = static_cast<std::size_t>(Hurt::redirect) + 1;

/// Chooses the figures of one fault, and notes what a client must reckon with because of it.
FaultRule draw_rule(Hurt hurt, Dice& dice, World& world, Place& place) {
  FaultRule rule;
  const auto wait = [&]() -> std::vector<Header> {
    place.waits = true;
    if (!dice.chance(0.5)) return {};
    world.asks_to_wait = true;
    const std::array<std::string, 6> texts{"0", "1", "3", "999999999", "-1", "soon"};
    return {{"Retry-After", texts[dice.index(texts.size())]}};
  };
  switch (hurt) {
    case Hurt::refuse:
      return rule.refuse();
    case Hurt::connect_hang:
      place.silent = true;
      return rule.connect_hang();
    case Hurt::black_hole:
      place.silent = true;
      return rule.black_hole();
    case Hurt::reset:
      return rule.reset();
    case Hurt::drop_before:
      return rule.drop_before();
    case Hurt::apply_then_drop:
      return rule.apply_then_drop();
    case Hurt::apply_late: {
      world.late = true;
      const Duration later = dice.between(100ms, 20s);
      const bool silent = dice.chance(0.6);
      place.silent = place.silent || silent;
      return rule.apply_late(later, silent);
    }
    case Hurt::delay:
      place.silent = true;
      return rule.delay(dice.between(20ms, 6s));
    case Hurt::drip:
      place.silent = true;
      return rule.drip(dice.between(20, 2000));
    case Hurt::truncate:
      return rule.truncate(dice.between(0, 60));
    case Hurt::garbage:
      return rule.garbage();
    case Hurt::wrong_length: {
      const bool longer = dice.chance(0.5);
      place.silent = place.silent || longer;
      world.server_errors = true;
      const int by = dice.between(1, 12);
      return rule.wrong_length(longer ? by : -by);
    }
    case Hurt::internal_error:
      world.server_errors = true;
      return rule.error("INTERNAL_ERROR", "KeyError: 'x'");
    case Hurt::bad_gateway:
      return dice.chance(0.5) ? rule.status(502) : rule.apply_then_status(502);
    case Hurt::unavailable:
      return rule.status(503, std::nullopt, wait());
    case Hurt::gateway_timeout:
      return rule.apply_then_status(504);
    case Hurt::throttled:
      return rule.status(429, std::nullopt, wait());
    case Hurt::database_away:
      place.waits = true;
      return rule.error("TEMPORARILY_UNAVAILABLE", "(sqlite3.OperationalError) database is locked");
    case Hurt::driver_error:
      return rule.error("BAD_REQUEST", "(psycopg2.errors.ReadOnlySqlTransaction) cannot execute INSERT");
    case Hurt::login_page:
      world.server_errors = true;
      return dice.chance(0.5) ? rule.status(200, "<html>Sign in</html>")
                              : rule.apply_then_status(200, "<html>Please wait</html>");
    case Hurt::not_mlflow:
      world.server_errors = true;
      return rule.status(404);
    case Hurt::redirect:
      world.server_errors = true;
      return rule.redirect("http://elsewhere.example/");
  }
  return rule.refuse();
}

Window draw_window(Dice& dice, Duration horizon) {
  const Duration from = dice.chance(0.2) ? Duration::zero() : dice.between(Duration::zero(), horizon);
  const Duration most = horizon - from;
  const Duration length = dice.chance(0.3) ? most : dice.between(Duration(most / 20), Duration(most / 2));
  return {from, from + length};
}

void add_rule(Dice& dice, World& world, Place& place, const Window& window, Hurt hurt) {
  if (window.until <= window.from) return;
  FaultRule rule = draw_rule(hurt, dice, world, place);
  rule.from(window.from).until(window.until);
  if (dice.chance(0.4)) rule.share(0.05 * dice.between(1, 16));
  if (dice.chance(0.1)) rule.times(static_cast<std::uint64_t>(dice.between(1, 4)));
  if (hurt != Hurt::refuse && hurt != Hurt::connect_hang) {
    if (dice.chance(0.15)) rule.method(Method::post);
    if (dice.chance(0.15)) rule.path(dice.chance(0.5) ? "runs/create" : "runs/search");
  }
  place.script.add(std::move(rule));
  place.windows.push_back(window);
}

void draw_options(Dice& dice, World& world) {
  ClientOptions& o = world.options;
  static constexpr std::array<Duration, 4> attempts{200ms, 1s, 2s, 4s};
  static constexpr std::array<Duration, 4> calls{4s, 10s, 20s, 30s};
  o.timeouts.attempt = attempts[dice.index(attempts.size())];
  o.timeouts.call = calls[dice.index(calls.size())];
  o.timeouts.connect = o.timeouts.attempt / dice.between(2, 4);
  if (dice.chance(0.15)) o.retry.max_attempts = dice.between(1, 4);
  if (dice.chance(0.03)) o.retry.enabled = false;
  if (dice.chance(0.15)) o.retry.when_all_open = AllOpen::fail_fast;
  if (dice.chance(0.1)) o.retry.respect_retry_after = false;
  if (dice.chance(0.2)) o.retry.backoff.cap = dice.between(200ms, 3s);
  if (dice.chance(0.15)) o.retry.budget.capacity = dice.between(14, 100);
  if (dice.chance(0.05)) o.retry.budget.capacity = 0;
  if (dice.chance(0.5)) {
    o.breaker.consecutive_failures = dice.between(1, 8);
    o.breaker.open_for = dice.between(100ms, 5s);
    o.breaker.open_for_max = o.breaker.open_for * dice.between(1, 12);
    o.breaker.minimum_calls = dice.between(2, 20);
    o.breaker.failure_rate = dice.chance(0.3) ? 0 : 0.1 * dice.between(2, 10);
    o.breaker.probe_successes = dice.between(1, 3);
  }
  if (dice.chance(0.4)) o.pool.selection = Selection::p2c_ewma;
  if (dice.chance(0.3)) o.pool.failback_after = dice.between(0s, 10s);
  if (dice.chance(0.3)) o.pool.failback_successes = dice.between(1, 5);
  if (dice.chance(0.15)) o.exactly_once.remove_twins = false;
  if (dice.chance(0.3)) o.exactly_once.watch_for = dice.between(60s, 300s);
}

void draw_faults(Dice& dice, World& world) {
  std::vector<Hurt> kinds;
  const double share = dice.chance(0.5) ? 0.15 : 0.4;
  for (std::size_t i = 0; i < hurts; ++i) {
    if (dice.chance(share)) kinds.push_back(static_cast<Hurt>(i));
  }
  if (kinds.empty()) kinds.push_back(Hurt::refuse);
  if (dice.chance(0.2)) {  // requests whose fate is unknown, and many of them creates
    kinds = {Hurt::apply_late, Hurt::apply_then_drop, Hurt::drop_before};
    world.create_percent = 35;
    if (dice.chance(0.5)) world.travelling = true;
  }
  for (Place& place : world.places) {
    if (place.sound) continue;
    const int rules = dice.between(0, 4);
    for (int i = 0; i < rules; ++i) {
      const Window window = draw_window(dice, world.horizon);
      const Hurt hurt = kinds[dice.index(kinds.size())];
      add_rule(dice, world, place, window, hurt);
    }
  }
  if (world.sound || !dice.chance(0.5)) return;
  // The whole cluster at once, for less than a call's time.
  const int outages = dice.between(1, 3);
  for (int i = 0; i < outages; ++i) {
    const Duration from = dice.between(Duration::zero(), world.horizon);
    const Duration most = world.options.timeouts.call * 3 / 4;
    const Window window{from, std::min(from + dice.between(Duration(most / 10), most), world.horizon)};
    const bool refused = dice.chance(0.5);
    for (Place& place : world.places) {
      if (window.until <= window.from) continue;
      FaultRule rule;
      place.script.add((refused ? rule.refuse() : rule.black_hole()).from(window.from).until(window.until));
      place.windows.push_back(window);
      place.silent = place.silent || !refused;
    }
  }
}

}  // namespace

Duration World::last_trouble(Duration from, Duration to) const {
  Duration last = from;
  const auto consider = [&](const Window& window) {
    if (window.from < to && window.until > last) last = std::min(window.until, to);
  };
  for (const Place& place : places) {
    if (place.stranger) continue;
    for (const Window& window : place.windows) consider(window);
  }
  for (const DatabaseFault& fault : database) consider(fault.window);
  return last;
}

bool World::any_new() const {
  return std::any_of(places.begin(), places.end(),
                     [](const Place& place) { return !place.stranger && place.version == ServerVersion::v3; });
}

bool World::all_old() const {
  return std::all_of(places.begin(), places.end(), [](const Place& place) {
    return place.stranger || (place.version == ServerVersion::v2 && place.upgraded == Duration::zero());
  });
}

World make_world(std::uint64_t seed) {
  Dice dice(seed);
  World world;
  world.seed = seed;
  draw_options(dice, world);
  world.version = dice.chance(0.3) ? ServerVersion::v2 : ServerVersion::v3;
  world.horizon = dice.between(5s, 60s);
  world.operations = dice.between(15, 70);
  world.observed = dice.chance(0.6);
  world.travelling = dice.chance(0.12);

  const int count = dice.chance(0.15) ? 1 : dice.between(2, 4);
  for (int i = 0; i < count; ++i) world.places.emplace_back().url = fmt::format("http://s{}:5000", i);
  world.only_database = dice.chance(0.06);
  world.sound = !world.only_database && dice.chance(0.45);
  if (world.sound) world.places[dice.index(world.places.size())].sound = true;
  if (count > 1 && dice.chance(0.2)) {
    Place odd;
    odd.url = "http://odd:5000";
    odd.stranger = true;
    world.stranger = true;
    const std::size_t at = dice.index(world.places.size() + 1);
    world.places.insert(world.places.begin() + static_cast<std::ptrdiff_t>(at), std::move(odd));
  }
  for (const Place& place : world.places) world.options.endpoints.push_back(place.url);
  const bool mixed = dice.chance(0.4);  // in the middle of an upgrade
  for (Place& place : world.places) {
    place.version = world.version;
    if (!mixed || place.stranger || place.sound) continue;
    place.version = dice.chance(0.5) ? ServerVersion::v2 : ServerVersion::v3;
    if (place.version == ServerVersion::v2 && dice.chance(0.4)) {
      place.upgraded = dice.between(Duration(1ms), world.horizon);
    }
  }

  if (!world.only_database) draw_faults(dice, world);
  if (world.travelling && !world.only_database) {
    // Afterwards nobody but a removal that travels along deletes runs: it is carried out and its answer lost.
    for (Place& place : world.places) {
      if (place.stranger || !dice.chance(0.7)) continue;
      place.script.add(FaultRule().apply_then_drop().path("runs/delete").from(world.horizon).times(1));
    }
  }
  if (world.only_database || (!world.sound && dice.chance(0.3))) {
    const int faults = dice.between(1, 2);
    for (int i = 0; i < faults; ++i) {
      const Duration from = dice.between(Duration::zero(), world.horizon);
      const Duration until = std::min(from + dice.between(500ms, 15s), world.horizon);
      const bool away = world.only_database || dice.chance(0.6);
      world.database.push_back({{from, until}, away ? DatabaseState::down : DatabaseState::read_only});
    }
  }
  return world;
}

std::string describe(const World& world) {
  const ClientOptions& o = world.options;
  const auto seconds = [](Duration time) { return std::chrono::duration<double>(time).count(); };
  std::string text = fmt::format(
      "seed {}: {} operations, faults for {:.1f} s; call {} s, attempt {} s, connect {} s; max_attempts {}{}{}; {}; "
      "budget {}; breaker {} in a row, rate {:.1f} of {}, open {:.2f} to {:.2f} s; watch {:.0f} s{}\n",
      world.seed, world.operations, seconds(world.horizon), seconds(o.timeouts.call), seconds(o.timeouts.attempt),
      seconds(o.timeouts.connect), o.retry.max_attempts, o.retry.enabled ? "" : ", no retries",
      o.retry.when_all_open == AllOpen::fail_fast ? ", fail_fast" : "",
      o.pool.selection == Selection::p2c_ewma ? "p2c" : "primary first", o.retry.budget.capacity,
      o.breaker.consecutive_failures, o.breaker.failure_rate, o.breaker.minimum_calls, seconds(o.breaker.open_for),
      seconds(o.breaker.open_for_max), seconds(o.exactly_once.watch_for),
      o.exactly_once.remove_twins ? "" : ", twins are left");
  for (const Place& place : world.places) {
    text += fmt::format("  {} {}.x{}{}{}\n", place.url, place.version == ServerVersion::v2 ? 2 : 3,
                        place.sound ? " (always sound)" : "", place.stranger ? " (another database)" : "",
                        place.upgraded == Duration::zero()
                            ? std::string()
                            : fmt::format(", 3.x from {:.3f} s on", seconds(place.upgraded)));
    for (const FaultRule& rule : place.script.rules()) text += fmt::format("    {}\n", to_string(rule));
  }
  for (const DatabaseFault& fault : world.database) {
    text += fmt::format("  database {} from {:.3f} s until {:.3f} s\n",
                        fault.state == DatabaseState::down ? "away" : "read-only", seconds(fault.window.from),
                        seconds(fault.window.until));
  }
  return text;
}

}  // namespace mlflowha_tests
