// SPDX-License-Identifier: Apache-2.0
#include "app/model_cli.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "core/error.h"
#include "core/version.h"
#include "model/checkpoint/model_tool.h"

namespace slim::app {
namespace {

void say_made(const model::ModelMade& made, const std::string& folder) {
  for (const std::string& warning : made.warnings) {
    std::fprintf(stderr, "slimbrain-model: warning: %s\n", warning.c_str());
  }
  std::printf("model %s: %lld tensors, %lld parameters, in %s\n", made.card.name.c_str(),
              static_cast<long long>(made.card.tensors), static_cast<long long>(made.card.parameters),
              folder.c_str());
  const std::string note = model::untrained_note(made.card);
  if (!note.empty()) {
    std::printf("%s\n", note.c_str());
  }
}

struct Words {
  std::string from, to, preset, name;
  uint64_t seed = 1;
  std::vector<std::string> allow_partial;
  bool ema = false;
};

/// Fills `words` through CLI11; `app` has one sub-command a job.
void describe(CLI::App& app, Words& words) {
  app.require_subcommand(1);
  app.set_help_flag("-h,--help", "this text; also after a command");
  app.set_version_flag("-V,--version", "slimbrain " + std::string(kVersion));

  CLI::App* import =
      app.add_subcommand("import", "read an official PyTorch checkpoint; nothing in the file is executed");
  import->add_option("FILE.pth", words.from)->required();
  import->add_option("DIR", words.to, "the model folder to make")->required();
  import->add_option("--name", words.name, "letters and digits; default: those of the folder's name");
  import->add_option("--allow-partial", words.allow_partial,
                     "beginnings of encoder keys that may be missing; those tensors are drawn at random");
  import->add_flag("--ema", words.ema, "take the target (EMA) encoder's tensors");
  import->add_option("--seed", words.seed, "for tensors that --allow-partial admits");

  CLI::App* exported =
      app.add_subcommand("export", "write {epoch, model_state_dict} for Python's torch.load");
  exported->add_option("DIR", words.from)->required();
  exported->add_option("FILE.pth", words.to)->required();

  CLI::App* inspect = app.add_subcommand("inspect", "describe a model folder, a .pth or a .safetensors file");
  inspect->add_option("PATH", words.from)->required();

  CLI::App* init =
      app.add_subcommand("init", "make a model of random weights; everything made with it says so");
  init->add_option("DIR", words.to)->required();
  init->add_option("--preset", words.preset, "tiny or base")->required();
  init->add_option("--seed", words.seed)->required();
  init->add_option("--name", words.name, "letters and digits; default: those of the folder's name");
}

void run_command(const std::string& command, const Words& words) {
  if (command == "import") {
    say_made(model::import_pth(words.from, words.to,
                               {.name = words.name,
                                .allow_partial = words.allow_partial,
                                .import_ema = words.ema,
                                .seed = words.seed}),
             words.to);
  } else if (command == "export") {
    const int64_t tensors = model::export_pth(words.from, words.to);
    std::printf("%lld tensors written to %s\n", static_cast<long long>(tensors), words.to.c_str());
  } else if (command == "inspect") {
    std::fputs(model::inspect(words.from).c_str(), stdout);
  } else {
    say_made(model::init_model(words.to, words.preset, words.seed, words.name), words.to);
  }
}

}  // namespace

int run_model_words(const std::vector<std::string>& given) {
  CLI::App app("slimbrain-model makes, reads and shows model folders.", "slimbrain-model");
  Words words;
  describe(app, words);
  try {
    app.parse(std::vector<std::string>(given.rbegin(), given.rend()));
  } catch (const CLI::Success& asked) {  // --help, --version
    return app.exit(asked);
  } catch (const CLI::ParseError& error) {
    throw Error(message::kBadValue, std::string(error.what()) + ".",
                {.remedy = "slimbrain-model --help shows the commands"});
  }
  run_command(app.get_subcommands().front()->get_name(), words);
  return 0;
}

}  // namespace slim::app
