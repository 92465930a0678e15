// Preloaded into the native runner by operators.py: XNNPACK's own timing of every operator.
//
// The delegate creates its runtimes without XNNPACK's profiling flag. This sets it, sums what every
// operator took after the first WARMUP calls, and writes "microseconds name" a line to OPERATORS_OUT.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROFILING = 0x8, COUNT = 0, NAMES = 1, TIMINGS = 2, MOST = 4096, WARMUP = 50 };

typedef int (*create_function)(void*, void*, void*, void*, uint32_t, void**);
typedef int (*invoke_function)(void*);
typedef int (*info_function)(void*, int, size_t, void*, size_t*);

static double sums[MOST];
static uint64_t timings[MOST];
static long calls;
static size_t operators;
static char* names;

int xnn_create_runtime_v4(
    void* subgraph, void* weights, void* workspace, void* threads, uint32_t flags, void** made) {
  create_function real = (create_function)dlsym(RTLD_NEXT, "xnn_create_runtime_v4");
  return real(subgraph, weights, workspace, threads, flags | PROFILING, made);
}

int xnn_invoke_runtime(void* runtime) {
  static invoke_function real;
  static info_function info;
  if (!real) {
    real = (invoke_function)dlsym(RTLD_NEXT, "xnn_invoke_runtime");
    info = (info_function)dlsym(RTLD_DEFAULT, "xnn_get_runtime_profiling_info");
  }
  int status = real(runtime);
  size_t size = 0;
  if (!operators) {
    info(runtime, COUNT, sizeof operators, &operators, &size);
    info(runtime, NAMES, 0, NULL, &size);
    names = malloc(size);
    info(runtime, NAMES, size, names, &size);
  }
  info(runtime, TIMINGS, sizeof timings, timings, &size);
  if (++calls > WARMUP) {
    for (size_t i = 0; i < operators && i < MOST; i++) {
      sums[i] += timings[i];
    }
  }
  return status;
}

__attribute__((destructor)) static void report(void) {
  const char* path = getenv("OPERATORS_OUT");
  FILE* file = path && calls > WARMUP ? fopen(path, "w") : NULL;
  if (!file) {
    return;
  }
  const char* name = names;
  for (size_t i = 0; i < operators && i < MOST; i++, name += strlen(name) + 1) {
    fprintf(file, "%.3f %s\n", sums[i] / (calls - WARMUP), name);
  }
  fclose(file);
}
