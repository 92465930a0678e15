// Preloaded into the native runner by kernels.py: hides instruction sets from XNNPACK.
//
// XNNPACK picks its kernels by what the library cpuinfo says of the processor. HIDE names the newest
// sets that it shall not know of: "vnni", or "avx512" for these and all of AVX-512.
#define _GNU_SOURCE
#include <cpuinfo.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef bool (*initialize_function)(void);

bool cpuinfo_initialize(void) {
  initialize_function real = (initialize_function)dlsym(RTLD_NEXT, "cpuinfo_initialize");
  bool done = real();
  struct cpuinfo_x86_isa* isa = dlsym(RTLD_DEFAULT, "cpuinfo_isa");
  const char* hide = getenv("HIDE");
  // A processor without these is not one to compare on, and a struct laid out otherwise has no sense.
  if (!isa || !isa->avx2 || !isa->fma3 || !isa->popcnt) {
    fprintf(stderr, "cpuinfo names no AVX2\n");
    exit(2);
  }
  if (hide && *hide) {
    isa->avxvnni = isa->avx512vnni = isa->avx_vnni_int8 = isa->avx512bf16 = isa->avx512fp16 = false;
    isa->amx_bf16 = isa->amx_tile = isa->amx_int8 = isa->amx_fp16 = false;
  }
  if (hide && strcmp(hide, "avx512") == 0) {
    isa->avx512f = isa->avx512bw = isa->avx512cd = isa->avx512dq = isa->avx512vl = false;
    isa->avx512vbmi = isa->avx512vbmi2 = isa->avx512ifma = false;
  }
  return done;
}
