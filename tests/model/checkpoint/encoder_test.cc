// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "model/checkpoint/encoder_config.h"
#include "model/checkpoint/init_weights.h"
#include "model/hiera_encoder.h"
#include "model/initialise.h"

namespace slim::model {
namespace {

class EncoderTable : public testing::TestWithParam<const char*> {};

TEST_P(EncoderTable, EqualsTheParametersOfTheRealModule) {
  const EncoderOptions options = encoder_preset(GetParam());
  const HieraEncoder encoder(options);
  std::map<std::string, std::vector<int64_t>> real, table;
  for (const auto& item : encoder->named_parameters()) {
    real[item.key()] = item.value().sizes().vec();
  }
  for (const TensorSpec& spec : encoder_tensors(options)) {
    table[spec.name] = spec.shape;
  }
  EXPECT_EQ(real, table);
}

TEST_P(EncoderTable, InitialWeightsEqualThoseOfTheModuleBitForBit) {
  const EncoderOptions options = encoder_preset(GetParam());
  HieraEncoder encoder(options);
  init_parameters(encoder, 42);
  uint64_t index = 0;
  for (const TensorSpec& spec : encoder_tensors(options)) {
    const at::Tensor* parameter = encoder->named_parameters().find(spec.name);
    ASSERT_NE(parameter, nullptr) << spec.name;
    const at::Tensor real = parameter->detach().contiguous();
    const std::vector<float> values = initial_values(spec, 42, index++);
    ASSERT_EQ(static_cast<size_t>(real.numel()), values.size());
    EXPECT_EQ(std::memcmp(real.const_data_ptr<float>(), values.data(), values.size() * sizeof(float)), 0)
        << spec.name;
  }
}

INSTANTIATE_TEST_SUITE_P(Presets, EncoderTable, testing::Values("tiny", "base"));

}  // namespace
}  // namespace slim::model
