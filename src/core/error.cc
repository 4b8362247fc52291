// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"

namespace slim {

Error::Error(Message message, std::string sentence, ErrorDetails details)
    : message_(message), sentence_(std::move(sentence)), details_(std::move(details)) {
  text_ = std::string(message_.code) + ": " + sentence_;
  const std::pair<const char*, const std::string*> lines[] = {{"file", &details_.file},
                                                              {"expected", &details_.expected},
                                                              {"found", &details_.found},
                                                              {"do", &details_.remedy}};
  for (const auto& [name, value] : lines) {
    if (!value->empty()) {
      text_ += std::string("\n  ") + name + ": " + *value;
    }
  }
}

Error Error::within(std::string_view context) const {
  return Error(message_, std::string(context) + ": " + sentence_, details_);
}

}  // namespace slim
