// Preloaded into the native runner by operators.py: XNNPACK's own timing of every operator.
//
// The delegate creates its runtimes without XNNPACK's profiling flag. This sets it, keeps what every
// operator took in each call after the first WARMUP, and writes a line an operator to OPERATORS_OUT:
// its name, a tab, and the nanoseconds of those calls.
//
// XNNPACK counts whole microseconds, and most operators of a gate take less than one. While it runs,
// its clock is therefore told a thousand times faster: what it takes for a microsecond is a
// nanosecond.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROFILING = 0x8, COUNT = 0, NAMES = 1, TIMINGS = 2, WARMUP = 50 };
enum { FASTER = 1000, SECOND = 1000000000 };

typedef int (*create_function)(void*, void*, void*, void*, uint32_t, void**);
typedef int (*invoke_function)(void*);
typedef int (*info_function)(void*, int, size_t, void*, size_t*);
typedef int (*clock_function)(clockid_t, struct timespec*);

static uint64_t* timings;
static uint32_t* kept;  // [call][operator]
static long calls;
static size_t operators;
static char* names;
static __thread int running;  // on the thread that calls XNNPACK, whose clock it reads

int clock_gettime(clockid_t which, struct timespec* time) {
  static clock_function real;
  if (!real) {
    real = (clock_function)dlsym(RTLD_NEXT, "clock_gettime");
  }
  int status = real(which, time);
  if (running) {
    int64_t fast = (int64_t)time->tv_nsec * FASTER;
    time->tv_sec = time->tv_sec * FASTER + fast / SECOND;
    time->tv_nsec = fast % SECOND;
  }
  return status;
}

int xnn_create_runtime_v4(
    void* subgraph, void* weights, void* workspace, void* threads, uint32_t flags, void** made) {
  create_function real = (create_function)dlsym(RTLD_NEXT, "xnn_create_runtime_v4");
  return real(subgraph, weights, workspace, threads, flags | PROFILING, made);
}

int xnn_invoke_runtime(void* runtime) {
  static invoke_function real;
  static info_function info;
  static void* only;  // operators and times are of one graph
  if (only && runtime != only) {
    fputs("it calls more than one XNNPACK delegate\n", stderr);
    _exit(2);  // without a report
  }
  only = runtime;
  if (!real) {
    real = (invoke_function)dlsym(RTLD_NEXT, "xnn_invoke_runtime");
    info = (info_function)dlsym(RTLD_DEFAULT, "xnn_get_runtime_profiling_info");
  }
  running = 1;
  int status = real(runtime);
  running = 0;
  size_t size = 0;
  if (!operators) {
    info(runtime, COUNT, sizeof operators, &operators, &size);
    info(runtime, NAMES, 0, NULL, &size);
    names = malloc(size);
    info(runtime, NAMES, size, names, &size);
    timings = calloc(operators, sizeof *timings);
  }
  info(runtime, TIMINGS, operators * sizeof *timings, timings, &size);
  if (++calls > WARMUP) {
    size_t row = calls - WARMUP - 1;
    kept = realloc(kept, (row + 1) * operators * sizeof *kept);
    for (size_t i = 0; i < operators; i++) {
      kept[row * operators + i] = timings[i];
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
  for (size_t i = 0; i < operators; i++, name += strlen(name) + 1) {
    fprintf(file, "%s\t", name);
    for (long row = 0; row < calls - WARMUP; row++) {
      fprintf(file, "%u ", kept[row * operators + i]);
    }
    fputc('\n', file);
  }
  fclose(file);
}
