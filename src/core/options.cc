// SPDX-License-Identifier: Apache-2.0
#include "core/options.h"

#include <algorithm>
#include <charconv>

#include "core/error.h"
#include "core/nearest.h"
#include "core/sha256.h"

namespace slim {
namespace {

double number_from(const std::string& word, const std::string& where, const std::string& expected) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc() || end != word.data() + word.size() || !(value - value == 0)) {
    fail_value(where, word, expected);
  }
  return value;
}

void set_nested(const std::vector<Field>& fields, const nlohmann::json& node, const std::string& path,
                const std::string& where, std::vector<std::string>& done) {
  for (const auto& [key, value] : node.items()) {
    const std::string here = path.empty() ? key : path + "." + key;
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.path == here; });
    const bool section = std::any_of(fields.begin(), fields.end(),
                                     [&](const Field& f) { return f.path.starts_with(here + "."); });
    if (field != fields.end()) {
      field->set(value, where + " " + here);
      done.push_back(here);
    } else if (section && value.is_object()) {
      set_nested(fields, value, here, where, done);
    } else if (section) {
      fail_value(where + " " + here, value.dump(), "an object");
    } else {
      std::vector<std::string> known;
      for (const Field& f : fields) {
        known.push_back(f.path);
      }
      throw Error(message::kUnknownKey,
                  "Unknown key " + here + " in " + where + "; the nearest is " + nearest(here, known) + ".");
    }
  }
}

}  // namespace

std::string Field::flag() const {
  std::string text = key;
  std::replace(text.begin(), text.end(), '_', '-');
  return text;
}

void fail_value(const std::string& where, const std::string& value, const std::string& expected) {
  throw Error(message::kBadValue, where + " " + value + " is not valid: expected " + expected + ".");
}

nlohmann::json value_from_words(const Field& field, const std::vector<std::string>& words,
                                const std::string& where) {
  if (field.type == "list") {
    return words;
  }
  if (words.size() != 1) {
    fail_value(where, std::to_string(words.size()) + " values", "one " + field.type);
  }
  const std::string& word = words.front();
  if (field.type == "switch") {
    if (word != "true" && word != "false" && word != "1" && word != "0") {
      fail_value(where, word, "true or false");
    }
    return word == "true" || word == "1";
  }
  if (field.type == "whole number") {
    int64_t value = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc() || end != word.data() + word.size()) {
      fail_value(where, word, "a whole number");
    }
    return value;
  }
  if (field.type == "number") {
    return number_from(word, where, "a number");
  }
  if (field.type == "two numbers") {
    const size_t colon = word.find(':');
    if (colon == std::string::npos) {
      fail_value(where, word, "two numbers, for example 0.70:0.80");
    }
    return {number_from(word.substr(0, colon), where, "two numbers, for example 0.70:0.80"),
            number_from(word.substr(colon + 1), where, "two numbers, for example 0.70:0.80")};
  }
  return word;
}

nlohmann::json fields_to_json(const std::vector<Field>& fields, std::optional<Role> role) {
  nlohmann::json json = nlohmann::json::object();
  for (const Field& field : fields) {
    if (role && field.role != *role) {
      continue;
    }
    std::string pointer = "/" + field.path;
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    json[nlohmann::json::json_pointer(pointer)] = field.get();
  }
  return json;
}

std::vector<std::string> fields_from_json(const std::vector<Field>& fields, const nlohmann::json& json,
                                          const std::string& where) {
  if (!json.is_object()) {
    fail_value(where, json.dump().substr(0, 60), "a JSON object");
  }
  std::vector<std::string> done;
  set_nested(fields, json, "", where, done);
  return done;
}

std::string configuration_hash(const nlohmann::json& canonical) {
  return sha256_hex(canonical.dump()).substr(0, 16);
}

}  // namespace slim
