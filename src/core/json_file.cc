// SPDX-License-Identifier: Apache-2.0
#include "core/json_file.h"

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/atomic_file.h"

namespace fs = std::filesystem;
using nlohmann::json;

namespace slim {
namespace {

constexpr size_t kMaxDepth = 64;

/// nlohmann keeps the last of several equal keys, silently; two readers could then see two different files.
class StrictKeys {
 public:
  StrictKeys(const fs::path& name, const Message& message) : name_(name), message_(message) {}

  bool operator()(int /*depth*/, json::parse_event_t event, json& parsed) {
    switch (event) {
      case json::parse_event_t::object_start:
      case json::parse_event_t::array_start:
        keys_.emplace_back();
        if (keys_.size() > kMaxDepth) {
          throw Error(
              message_, "The JSON text is nested too deeply.",
              {.file = name_.string(), .expected = "at most " + std::to_string(kMaxDepth) + " levels"});
        }
        break;
      case json::parse_event_t::object_end:
      case json::parse_event_t::array_end:
        keys_.pop_back();
        break;
      case json::parse_event_t::key:
        if (!keys_.back().insert(parsed.get_ref<const std::string&>()).second) {
          throw Error(message_,
                      "The key \"" + parsed.get_ref<const std::string&>() + "\" occurs twice in one object.",
                      {.file = name_.string()});
        }
        break;
      case json::parse_event_t::value:
        break;
    }
    return true;
  }

 private:
  const fs::path& name_;
  const Message& message_;
  std::vector<std::set<std::string>> keys_;
};

}  // namespace

json parse_json(std::string_view text, const fs::path& name, const Message& message) {
  // nlohmann takes a zero byte for the end and would not look at what follows.
  if (const size_t zero = text.find('\0'); zero != text.npos) {
    throw Error(message, "The JSON text cannot be read.",
                {.file = name.string(), .found = "a zero at byte " + std::to_string(zero)});
  }
  StrictKeys strict(name, message);
  try {
    return json::parse(text.begin(), text.end(), [&](int depth, json::parse_event_t event, json& parsed) {
      return strict(depth, event, parsed);
    });
  } catch (const json::exception& error) {
    // The library's sentence begins with "[json.exception.parse_error.101] ".
    const std::string_view what = error.what();
    const size_t end_of_tag = what.find("] ");
    throw Error(message, "The JSON text cannot be read.",
                {.file = name.string(),
                 .found = std::string(end_of_tag == what.npos ? what : what.substr(end_of_tag + 2))});
  }
}

json read_json(const fs::path& path) { return parse_json(read_text(path), path); }

}  // namespace slim
