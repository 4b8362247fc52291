// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "model/parameters.h"

namespace slim::train {

/// The moving average of the online parameters, kept in float32 and written into the target's parameters.
class Ema {
 public:
  /// `online` are the float32 masters and hold every key of `target`, whose present values are the start.
  Ema(const model::Parameters& online, const model::Parameters& target);
  /// average <- momentum x average + (1 - momentum) x online, then into the target.
  void update(double momentum);
  /// Sorted by key, float32. Write into them to restore a state, then call `publish`.
  const model::Parameters& averages() const { return averages_; }
  void publish();

 private:
  model::Parameters online_, target_, averages_;
};

}  // namespace slim::train
