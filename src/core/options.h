// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

namespace slim {

// Note [Options]. An options struct lists its fields once:
//   template <class Visit> static void fields(Visit&& visit) {
//     visit("target_tr", &TimeGridOptions::repetition_time_s, "target sampling interval, s");
//   }
// list_fields() turns a struct of such structs into a table that the JSON reader and writer, the command
// line, the environment and the docs page share. The visited word is the public key: JSON `prep.target_tr`,
// flag `--target-tr`.

/// Whether a field changes numbers (and enters the configuration hash) or only how they are computed.
enum class Role { Science, Run };

/// One option, bound to the place that holds its value.
struct Field {
  std::string path;  // "prep.target_tr"
  std::string key;   // "target_tr"
  std::string help;
  std::string type;  // "switch", "whole number", "number", "text", "list", "two numbers"
  Role role = Role::Science;
  std::function<nlohmann::json()> get;
  /// Error SB1002 when the value has the wrong type; `where` names its origin.
  std::function<void(const nlohmann::json& value, const std::string& where)> set;
  /// The flag: key with hyphens.
  std::string flag() const;
};

/// Error SB1002 for `value` given at `where`, where `expected` was wanted.
[[noreturn]] void fail_value(const std::string& where, const std::string& value, const std::string& expected);

/// Turns the words of a command line or environment variable into the JSON value that the field's type wants.
/// Error SB1002 when they do not fit.
nlohmann::json value_from_words(const Field& field, const std::vector<std::string>& words,
                                const std::string& where);

namespace detail {

template <class T>
std::string type_name() {
  if constexpr (std::is_same_v<T, bool>) return "switch";
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) return "whole number";
  if constexpr (std::is_floating_point_v<T>) return "number";
  if constexpr (std::is_same_v<T, std::string>) return "text";
  if constexpr (std::is_same_v<T, std::vector<std::string>>) return "list";
  if constexpr (std::is_same_v<T, std::array<double, 2>>) return "two numbers";
}

template <class T>
bool fits(const nlohmann::json& value) {
  if constexpr (std::is_same_v<T, bool>) return value.is_boolean();
  if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) return value.is_number_integer();
  if constexpr (std::is_floating_point_v<T>) return value.is_number();
  if constexpr (std::is_same_v<T, std::string>) return value.is_string();
  const auto all = [&](auto&& test) {
    for (const nlohmann::json& item : value) {
      if (!test(item)) return false;
    }
    return true;
  };
  if constexpr (std::is_same_v<T, std::vector<std::string>>) {
    return value.is_array() && all([](const nlohmann::json& item) { return item.is_string(); });
  }
  if constexpr (std::is_same_v<T, std::array<double, 2>>) {
    return value.is_array() && value.size() == 2 &&
           all([](const nlohmann::json& item) { return item.is_number(); });
  }
}

template <class T>
struct OptionalValue : std::false_type {
  using Type = T;
};
template <class T>
struct OptionalValue<std::optional<T>> : std::true_type {
  using Type = T;
};

}  // namespace detail

/// Appends the fields of `options` under `path` (empty or "prep."). Members that are options structs are
/// entered. A role given to a struct holds for everything in it. optional<T> fields are null when absent.
template <class Options>
void list_fields(Options& options, const std::string& path, Role role, std::vector<Field>& out) {
  Options::fields([&](const char* key, auto member, const char* help, Role own = Role::Science) {
    auto& slot = options.*member;
    using T = std::remove_reference_t<decltype(slot)>;
    const Role effective = role == Role::Run ? Role::Run : own;
    if constexpr (requires { T::fields([](auto&&...) {}); }) {
      list_fields(slot, path + key + ".", effective, out);
    } else {
      using Optional = detail::OptionalValue<T>;
      using Value = typename Optional::Type;
      Field field;
      field.path = path + key;
      field.key = key;
      field.help = help;
      field.type = detail::type_name<Value>();
      field.role = effective;
      field.get = [&slot] {
        if constexpr (Optional::value) {
          return slot ? nlohmann::json(*slot) : nlohmann::json(nullptr);
        } else {
          return nlohmann::json(slot);
        }
      };
      field.set = [&slot, type = field.type](const nlohmann::json& value, const std::string& where) {
        if constexpr (Optional::value) {
          if (value.is_null()) {
            slot.reset();
            return;
          }
        }
        if (!detail::fits<Value>(value)) {
          fail_value(where, value.dump(), type);
        }
        slot = value.get<Value>();
      };
      out.push_back(std::move(field));
    }
  });
}

/// All fields as nested JSON; only those of `role` when given.
nlohmann::json fields_to_json(const std::vector<Field>& fields, std::optional<Role> role = std::nullopt);

/// Sets fields from nested JSON. Error SB1006 for an unknown key, with its path and the nearest known one.
/// Returns the paths that were set.
std::vector<std::string> fields_from_json(const std::vector<Field>& fields, const nlohmann::json& json,
                                          const std::string& where);

/// The first 16 hex digits of SHA-256 over canonical JSON (sorted keys, shortest numbers).
std::string configuration_hash(const nlohmann::json& canonical);

}  // namespace slim
