// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"

namespace slim::model {

/// The format number of config.json and model.json.
inline constexpr int64_t kModelFormat = 1;
/// The most that a count of the files may be.
inline constexpr int64_t kMostCounted = int64_t{1} << 40;

template <class T>
nlohmann::ordered_json nullable(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

/// A file's name may hold any bytes; JSON may not.
inline std::string pretty(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

/// One object of a file: every key must be read, and nothing else may stand there.
class ObjectReader {
 public:
  ObjectReader(const nlohmann::json& object, const std::filesystem::path& file, std::string where)
      : object_(object), file_(file), where_(std::move(where)) {
    if (!object.is_object()) {
      fail("is not an object");
    }
  }

  [[noreturn]] void fail(const std::string& what, std::string found = {}) const {
    throw Error(message::kUnfitModel, "The model's " + (where_.empty() ? "file" : where_) + " " + what + ".",
                {.file = file_.string(), .found = std::move(found)});
  }
  const nlohmann::json& at(const char* key) {
    const auto found = object_.find(key);
    if (found == object_.end()) {
      fail(std::string("lacks the key \"") + key + "\"");
    }
    read_.emplace_back(key);
    return *found;
  }
  int64_t integer(const char* key, int64_t least, int64_t most) {
    const nlohmann::json& value = at(key);
    if (!value.is_number_integer() || value.is_number_unsigned() != (value >= 0) || value < least ||
        value > most) {
      fail(std::string("has no whole number from ") + std::to_string(least) + " to " + std::to_string(most) +
               " under \"" + key + "\"",
           value.dump());
    }
    return value.get<int64_t>();
  }
  double number(const char* key) {
    const nlohmann::json& value = at(key);
    if (!value.is_number()) {
      fail(std::string("has no number under \"") + key + "\"", value.dump());
    }
    return value.get<double>();
  }
  bool boolean(const char* key) {
    const nlohmann::json& value = at(key);
    if (!value.is_boolean()) {
      fail(std::string("has neither true nor false under \"") + key + "\"", value.dump());
    }
    return value.get<bool>();
  }
  std::string text(const char* key, std::initializer_list<std::string_view> choices = {}) {
    const nlohmann::json& value = at(key);
    const bool known = choices.size() == 0 ||
                       (value.is_string() &&
                        std::find(choices.begin(), choices.end(), value.get<std::string>()) != choices.end());
    if (!value.is_string() || !known) {
      fail(std::string("has no proper text under \"") + key + "\"", value.dump());
    }
    return value.get<std::string>();
  }
  bool is_null(const char* key) { return at(key).is_null(); }
  bool has(const char* key) const { return object_.contains(key); }
  std::optional<std::string> text_or_null(const char* key,
                                          std::initializer_list<std::string_view> choices = {}) {
    return is_null(key) ? std::nullopt : std::optional(text(key, choices));
  }
  std::vector<std::string> texts(const char* key) {
    std::vector<std::string> all;
    for (const nlohmann::json& one : at(key)) {
      if (!one.is_string()) {
        fail(std::string("has something else than names under \"") + key + "\"");
      }
      all.push_back(one.get<std::string>());
    }
    return all;
  }
  std::string sha256(const char* key) {
    std::string value = text(key);
    if (value.size() != 64 || value.find_first_not_of("0123456789abcdef") != value.npos) {
      fail(std::string("has no SHA-256 under \"") + key + "\"", value);
    }
    return value;
  }
  void finish() const {
    for (const auto& [key, value] : object_.items()) {
      if (std::find(read_.begin(), read_.end(), key) == read_.end()) {
        fail("has an unknown key \"" + key + "\"");
      }
    }
  }

 private:
  const nlohmann::json& object_;
  const std::filesystem::path& file_;
  std::string where_;
  std::vector<std::string> read_;
};

}  // namespace slim::model
