// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <string>

#include "core/atomic_file.h"
#include "model/checkpoint/pickle_reader.h"
#include "tests/model/checkpoint/checkpoint_testing.h"

namespace slim::model {
namespace {

using Kind = PickleNode::Kind;
using test::bytes_of;
using test::error_of;
using namespace std::string_literals;

PickleTree read(const std::string& pickle) { return read_pickle(bytes_of(pickle), "x.pkl"); }
const PickleNode& root(const PickleTree& tree) { return tree.at(tree.root); }

void expect_refused(const std::string& pickle, const std::string& part) {
  const std::string error = error_of([&] { read(pickle); });
  EXPECT_TRUE(error.starts_with("SB2021")) << error;
  EXPECT_NE(error.find(part), std::string::npos) << error;
}

TEST(Pickle, ReadsNumbersTextsAndConstants) {
  const PickleTree tree = read(
      "\x80\x02(K\x07J\xff\xff\xff\xffM\x00\x01\x8a\x02\x00\x80G\x3f\xf8\0\0\0\0\0\0X\x02\0\0\0hi"
      "N\x88\x89t."s);
  const std::vector<NodeId>& items = root(tree).children;
  ASSERT_EQ(items.size(), 9u);
  EXPECT_EQ(tree.at(items[0]).integer, 7);
  EXPECT_EQ(tree.at(items[1]).integer, -1);
  EXPECT_EQ(tree.at(items[2]).integer, 256);
  EXPECT_EQ(tree.at(items[3]).integer, -32768);
  EXPECT_EQ(tree.at(items[4]).number, 1.5);
  EXPECT_EQ(tree.at(items[5]).text, "hi");
  EXPECT_EQ(tree.at(items[6]).kind, Kind::None);
  EXPECT_EQ(tree.at(items[7]).integer, 1);
  EXPECT_EQ(tree.at(items[8]).kind, Kind::Bool);
}

TEST(Pickle, ReadsWhatPythonWritesInEveryProtocol) {
  const auto python = test::judges_python();
  if (!python) {
    GTEST_SKIP() << "SLIM_JUDGES names no Python";
  }
  const test::TempFolder folder;
  const test::ProgramResult result = test::run_program(
      *python,
      {"-c",
       "import pickle, sys, collections, numpy\n"
       "shared = [1, 2]\n"
       "loop = []; loop.append(loop)\n"
       "thing = {'n': None, 't': (1, -5, 1 << 40, 'x' * 300), 'f': 2.5, 'shared': (shared, shared),\n"
       "  'loop': loop, 'od': collections.OrderedDict(a=1, b=2), 'bytes': b'\\x00\\xe9', 'set': {1},\n"
       "  'np': numpy.float32(1.5), 'npi': numpy.int64(-3), 7: 'int key', 'big': 1 << 100}\n"
       "for p in (2, 3, 4, 5): pickle.dump(thing, open(f'{sys.argv[1]}/{p}', 'wb'), p)\n",
       folder.path().string()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* protocol : {"2", "3", "4", "5"}) {
    const PickleTree tree = read(read_text(folder / protocol));
    const auto value = [&](const std::string& key) -> const PickleNode& {
      for (size_t i = 0; i < root(tree).children.size(); i += 2) {
        if (tree.at(root(tree).children[i]).text == key) {
          return tree.at(root(tree).children[i + 1]);
        }
      }
      ADD_FAILURE() << key << " is missing in protocol " << protocol;
      return root(tree);
    };
    ASSERT_EQ(root(tree).kind, Kind::Dict);
    EXPECT_EQ(root(tree).children.size(), 24u);
    EXPECT_EQ(tree.at(value("t").children.at(2)).integer, int64_t{1} << 40);
    EXPECT_EQ(tree.at(value("t").children.at(3)).text.size(), 300u);
    EXPECT_EQ(value("f").number, 2.5);
    EXPECT_EQ(value("shared").children.at(0), value("shared").children.at(1));
    const PickleNode& loop = value("loop");
    ASSERT_EQ(loop.kind, Kind::List);
    EXPECT_EQ(&tree.at(loop.children.at(0)), &loop);
    EXPECT_EQ(value("od").kind, Kind::Dict);
    EXPECT_EQ(value("od").children.size(), 4u);
    EXPECT_EQ(value("bytes").text, "\0\xe9"s);
    EXPECT_EQ(value("bytes").kind, Kind::Bytes);
    EXPECT_EQ(value("np").number, 1.5);
    EXPECT_EQ(value("npi").integer, -3);
    EXPECT_EQ(value("big").kind, Kind::Opaque);
    EXPECT_EQ(value("set").kind, Kind::Opaque);
  }
}

TEST(Pickle, UnknownCallablesBecomeNamesAndNothingRuns) {
  const test::TempFolder folder;
  const std::string path = folder / "executed";
  const std::string command = "touch " + path;
  const PickleTree tree = read("\x80\x02"s + "cposix\nsystem\nX" + static_cast<char>(command.size()) +
                               "\0\0\0"s + command + "\x85R.");
  EXPECT_EQ(root(tree).kind, Kind::Opaque);
  EXPECT_EQ(root(tree).text, "posix.system");
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Pickle, StateItemsAndSetsOfUnknownObjectsAreDropped) {
  const PickleTree tree = read(
      "\x80\x02"
      "cargparse\nNamespace\n)R}(X\x01\0\0\0aK\x01ub."s);
  EXPECT_EQ(root(tree).kind, Kind::Opaque);
  EXPECT_EQ(root(tree).children.size(), 2u);
  EXPECT_EQ(root(read("\x80\x02"
                      "cyacs.config\nCfgNode\n)\x81(X\x01\0\0\0aK\x01u."s))
                .text,
            "yacs.config.CfgNode");
}

TEST(Pickle, OldProtocolsAndUnneededOpcodesAreRefused) {
  expect_refused("", "ends early");
  expect_refused("(lp0\n.", "protocol");
  expect_refused("\x80\x01N.", "protocol 1");
  expect_refused("\x80\x06N.", "protocol 6");
  for (const char opcode : "IFLSVPgpio\x82\x83\x84\x97\x98"s) {
    expect_refused("\x80\x02NN"s + opcode + "0\n.", "opcode");
  }
}

TEST(Pickle, BrokenProgramsAreRefused) {
  expect_refused("\x80\x02.", "stack is empty");
  expect_refused("\x80\x02(.", "stack is empty");
  expect_refused("\x80\x02t.", "mark is missing");
  expect_refused("\x80\x02h\x05.", "not stored");
  expect_refused(
      "\x80\x02K\x01K\x02"
      "a.",
      "cannot hold");
  expect_refused("\x80\x02}(K\x01u.", "cannot hold");
  expect_refused(
      "\x80\x02(K\x01"
      "d.",
      "without a value");
  expect_refused("\x80\x02K\x01}b.", "has none");
  expect_refused("\x80\x02X\xff\xff\xff\xffhi.", "ends early");
  expect_refused("\x80\x02\x8d\xff\xff\xff\xff\xff\xff\xff\xffhi.", "ends early");
  expect_refused(
      "\x80\x02"
      "c"s +
          std::string(5000, 'a') + "\nb\n.",
      "has no end");
  expect_refused("\x80\x04K\x01K\x02\x93.", "no proper name");
}

TEST(Pickle, TensorsMadeOfWrongPartsAreRefused) {
  expect_refused(
      "\x80\x02"
      "ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x02K\x03K\x04tR."s,
      "wrong parts");
  expect_refused(
      "\x80\x02"
      "ctorch._utils\n_rebuild_tensor_v2\n)R."s,
      "wrong parts");
}

TEST(Pickle, DepthCostsNothing) {
  const std::string deep = "\x80\x02"s + std::string(1'000'000, ']') + std::string(999'999, 'a') + ".";
  EXPECT_EQ(root(read(deep)).kind, Kind::List);
}

TEST(Pickle, BombsAreRefusedBeforeTheyBurst) {
  expect_refused("\x80\x02"s + std::string(3'000'000, ']') + ".", "too many objects");
  expect_refused("\x80\x02N"s + std::string(3'000'000, '2') + ".", "stack grows too high");
  expect_refused("\x80\x02"s + std::string(3'000'000, '(') + ".", "too many marks");
  expect_refused("\x80\x02N"s + std::string(3'000'000, '\x94') + ".", "remembers too many");
  // One long name used over and over: a few bytes of input for each kilobyte.
  std::string names = "\x80\x04\x8d\0\4\0\0\0\0\0\0"s + std::string(1024, 'n') + "\x94";
  for (int i = 0; i < 100'000; ++i) {
    names += "h\0h\0\x93"s;
  }
  expect_refused(names + ".", "too large objects");
  // A long list made into a dict over and over.
  std::string dicts = "\x80\x02]q\0("s;
  for (int i = 0; i < 100'000; ++i) {
    dicts += "N\x88\x86";
  }
  dicts += "e0";
  for (int i = 0; i < 1000; ++i) {
    dicts += "ccollections\nOrderedDict\nh\0\x85R"s;
  }
  expect_refused(dicts + ".", "too large objects");
}

}  // namespace
}  // namespace slim::model
