// main() of a fuzz target where there is no libFuzzer: runs the target once on nothing, and on every file of the
// corpus folders given as arguments. Fails when a file can't be read or a folder holds none.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
  const std::uint8_t nothing = 0;
  LLVMFuzzerTestOneInput(&nothing, 0);
  std::size_t files = 0;
  for (int i = 1; i < argc; ++i) {
    const std::size_t before = files;
    for (const auto& entry : std::filesystem::directory_iterator(argv[i])) {
      std::ifstream in(entry.path(), std::ios::binary);
      const std::vector<char> bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
      if (!in.good() && !in.eof()) {
        std::fprintf(stderr, "can't read %s\n", entry.path().c_str());
        return 1;
      }
      LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
      ++files;
    }
    if (files == before) {
      std::fprintf(stderr, "no corpus in %s\n", argv[i]);
      return 1;
    }
  }
  std::printf("%zu corpus file(s) replayed\n", files);
  return 0;
}
