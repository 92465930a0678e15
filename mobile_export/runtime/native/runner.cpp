// Runs an ExecuTorch program outside Python: answers frames over the standard streams. Or times it, which
// is for benchmarks/ alone: the package itself only serves.
//
//   runner MODEL.pte serve [--threads N]
//   runner MODEL.pte bench WARMUP ITERATIONS [--threads N] [--pause MS]
//
// serve: standard input holds calls, each the floats of every input in order (little-endian, in the
// shapes that the program declares); each is answered by the floats of every output in order. The end
// of the input ends the program.
// bench: prints one JSON object with the milliseconds of loading, of the first call and of every
// counted call, each with its state copied back to where it goes in, on fixed pseudo-random frames. With
// a pause the next call waits as for a camera's next frame, in which time processor and threads rest.
//
// Exit status 2 with one line on standard error for whatever cannot be done.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>

// The wheel ships the library of the thread pool, but not this header.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(uint32_t threads);
};
ThreadPool* get_threadpool();
} // namespace executorch::extension::threadpool

using executorch::aten::ScalarType;
using executorch::extension::from_blob;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using Clock = std::chrono::steady_clock;

namespace {

// The program reads its inputs where they are, and XNNPACK reads, without use, up to 16 bytes behind a
// tensor (its XNN_EXTRA_BYTES).
constexpr size_t SPARE = 16 / sizeof(float);

[[noreturn]] void fail(const std::string& line) {
  std::fprintf(stderr, "error: %s\n", line.c_str());
  std::exit(2);
}

void check(Error error, const std::string& what) {
  if (error != Error::Ok) {
    char code[8];
    std::snprintf(code, sizeof code, "0x%x", static_cast<unsigned>(error));
    fail(what + " failed with ExecuTorch's error " + code);
  }
}

double milliseconds(Clock::time_point since) {
  return std::chrono::duration<double, std::milli>(Clock::now() - since).count();
}

// One program with the buffers of its inputs: the frame first, then the state.
class Runner {
 public:
  explicit Runner(const std::string& path) : module_(path, Module::LoadMode::File) {
    check(module_.load_method("forward"), "loading " + path);
    auto meta = module_.method_meta("forward");
    check(meta.error(), "reading the description of " + path);
    for (size_t i = 0; i < meta->num_inputs(); i++) {
      auto input = meta->input_tensor_meta(i);
      check(input.error(), "reading an input of " + path);
      if (input->scalar_type() != ScalarType::Float) {
        fail("input " + std::to_string(i) + " of " + path + " does not hold 32-bit floats");
      }
      auto sizes = input->sizes();
      std::vector<executorch::aten::SizesType> shape(sizes.begin(), sizes.end());
      size_t count = input->nbytes() / sizeof(float);
      buffers_.emplace_back();
      buffers_.back().reserve(count + SPARE);
      buffers_.back().resize(count);
      tensors_.push_back(from_blob(buffers_.back().data(), shape));
      values_.emplace_back(*tensors_.back());
    }
    if (buffers_.empty()) {
      fail(path + " has no input");
    }
  }

  std::vector<std::vector<float>>& inputs() { return buffers_; }

  // One call on what the input buffers hold. The outputs stay valid until the next one.
  std::vector<EValue> call() {
    auto outputs = module_.forward(values_);
    check(outputs.error(), "execution");
    for (const auto& output : *outputs) {
      if (!output.isTensor() || output.toTensor().scalar_type() != ScalarType::Float) {
        fail("an output does not hold 32-bit floats");
      }
    }
    return std::move(*outputs);
  }

  // One call, and the new state is where the next one reads it: outputs and inputs but the first.
  void step() {
    auto outputs = call();
    for (size_t i = 1; i < buffers_.size(); i++) {
      const auto& state = outputs.at(i).toTensor();
      if (state.nbytes() != buffers_[i].size() * sizeof(float)) {
        fail("state " + std::to_string(i) + " comes out in another size than it goes in");
      }
      std::memcpy(buffers_[i].data(), state.const_data_ptr<float>(), state.nbytes());
    }
  }

 private:
  Module module_;
  std::vector<std::vector<float>> buffers_;
  std::vector<TensorPtr> tensors_;
  std::vector<EValue> values_;
};

// False at the end of the input; a part of a call is an error.
bool read(std::vector<std::vector<float>>& inputs) {
  for (size_t i = 0; i < inputs.size(); i++) {
    size_t got = std::fread(inputs[i].data(), 1, inputs[i].size() * sizeof(float), stdin);
    if (got == 0 && i == 0) {
      return false;
    }
    if (got != inputs[i].size() * sizeof(float)) {
      fail("standard input ends within a call");
    }
  }
  return true;
}

int serve(Runner& runner) {
  while (read(runner.inputs())) {
    for (const auto& output : runner.call()) {
      const auto& tensor = output.toTensor();
      std::fwrite(tensor.const_data_ptr<float>(), 1, tensor.nbytes(), stdout);
    }
    std::fflush(stdout);
  }
  return 0;
}

int bench(Runner& runner, double load, long warmup, long iterations, long pause) {
  uint32_t noise = 1;
  for (auto& value : runner.inputs()[0]) {
    noise = noise * 1664525u + 1013904223u;  // Numerical Recipes' generator
    value = static_cast<float>(noise >> 8) / 8388608.0f - 1.0f;
  }
  auto start = Clock::now();
  runner.step();
  double first = milliseconds(start);
  for (long i = 0; i < warmup; i++) {
    runner.step();
  }
  std::printf("{\"load_ms\": %.4f, \"first_ms\": %.4f, \"ms\": [", load, first);
  for (long i = 0; i < iterations; i++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(pause));
    start = Clock::now();
    runner.step();
    std::printf("%s%.5f", i ? ", " : "", milliseconds(start));
  }
  std::printf("]}\n");
  return 0;
}

long number(const char* text) {
  char* end = nullptr;
  long value = std::strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || value < 0) {
    fail(std::string(text) + " is not a count");
  }
  return value;
}

} // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words;
  long threads = 0;
  long pause = 0;
  for (int i = 1; i < argc; i++) {
    if (std::string(argv[i]) == "--threads" && i + 1 < argc) {
      threads = number(argv[++i]);
    } else if (std::string(argv[i]) == "--pause" && i + 1 < argc) {
      pause = number(argv[++i]);
    } else {
      words.emplace_back(argv[i]);
    }
  }
  bool serving = words.size() == 2 && words[1] == "serve";
  if (!serving && !(words.size() == 4 && words[1] == "bench")) {
    fail("give MODEL.pte serve, or MODEL.pte bench WARMUP ITERATIONS, and perhaps --threads N, --pause MS");
  }
  if (threads > 0) {
    executorch::extension::threadpool::get_threadpool()->_unsafe_reset_threadpool(threads);
  }
  auto start = Clock::now();
  Runner runner(words[0]);
  double load = milliseconds(start);
  if (serving) {
    return serve(runner);
  }
  return bench(runner, load, number(words[2].c_str()), number(words[3].c_str()), pause);
}
