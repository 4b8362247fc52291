// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/error.h"

namespace slim::test {

/// The code of the slim::Error that a call throws, "none" where it throws nothing.
template <class Work>
std::string code_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return std::string(error.code());
  }
  return "none";
}

}  // namespace slim::test
