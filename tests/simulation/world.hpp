#ifndef MLFLOWHA_TESTS_SIMULATION_WORLD_HPP
#define MLFLOWHA_TESTS_SIMULATION_WORLD_HPP

// World: what one seed makes of the servers, their faults and the client's options. Drawn completely before anything
// runs, so that the checks know what was possible at any moment. Each world uses only some of the kinds of fault: with
// all of them everywhere no call would get far enough to meet the rarer states.

#include <mlflowha/client/options.hpp>
#include <mlflowha/testing/fake_backend.hpp>
#include <mlflowha/testing/fault_script.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace mlflowha_tests {

/// Time since the world began.
struct Window {
  mlflowha::Duration from{};
  mlflowha::Duration until{};
};

struct Place {
  std::string url;
  bool stranger = false;  ///< fronts another database than the others
  mlflowha::testing::ServerVersion version = mlflowha::testing::ServerVersion::v3;
  mlflowha::Duration upgraded{};  ///< when it becomes a 3.x, if it begins as a 2.x; 0: never
  bool sound = false;             ///< has no fault, ever
  bool silent = false;            ///< may keep a client waiting for an answer
  bool waits = false;             ///< may answer so that a client waits before it goes on elsewhere
  mlflowha::testing::FaultScript script;
  std::vector<Window> windows;  ///< of the rules
};

struct DatabaseFault {
  Window window;
  mlflowha::testing::DatabaseState state{};
};

struct World {
  std::uint64_t seed = 0;
  std::vector<Place> places;
  std::vector<DatabaseFault> database;
  mlflowha::ClientOptions options;  ///< endpoints and figures; the seams are the simulation's
  mlflowha::testing::ServerVersion version = mlflowha::testing::ServerVersion::v3;
  mlflowha::Duration horizon{};  ///< no fault lasts beyond it
  int operations = 0;
  int create_percent = 10;     ///< of the operations
  bool observed = true;        ///< an Observer listens
  bool travelling = false;     ///< twins are left to the looks that travel along before anybody reconciles
  bool sound = false;          ///< one endpoint has no fault, ever, and the database is well
  bool stranger = false;       ///< one endpoint fronts another database
  bool late = false;           ///< a request may be carried out after its client has gone
  bool server_errors = false;  ///< answers that may be the request's own fault: a call may end after five
  bool asks_to_wait = false;   ///< a Retry-After
  bool only_database = false;  ///< no fault but that of the shared database being away

  /// Whether one that isn't a stranger has been a 3.x from the beginning, or never becomes one.
  [[nodiscard]] bool any_new() const;
  [[nodiscard]] bool all_old() const;
  /// The last moment in [from, to) at which something of the places that aren't strangers, or of the database, may be
  /// wrong; `from` when there is none.
  [[nodiscard]] mlflowha::Duration last_trouble(mlflowha::Duration from, mlflowha::Duration to) const;
};

[[nodiscard]] World make_world(std::uint64_t seed);
/// For people: options and fault scripts.
[[nodiscard]] std::string describe(const World& world);

}  // namespace mlflowha_tests

#endif
