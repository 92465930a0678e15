// A plugin of QEMU for instructions.py: how many instructions a program ran, into INSTRUCTIONS_OUT.
//
// The few declarations that it needs are here, since Debian's qemu-user comes without their header.
// Source: QEMU's TCG plugin interface, version 1 (qemu-plugin.h of QEMU 6.0 to 8.2).
#include <inttypes.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;  // translated instructions that run one after the other
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(
    qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb*));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb*);
void qemu_plugin_register_vcpu_tb_exec_inline(
    struct qemu_plugin_tb*, enum qemu_plugin_op, void*, uint64_t);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void*), void*);

int qemu_plugin_version = 1;

static uint64_t instructions;  // of one thread: the sum is not atomic

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb* block) {
  uint64_t count = qemu_plugin_tb_n_insns(block);
  qemu_plugin_register_vcpu_tb_exec_inline(
      block, QEMU_PLUGIN_INLINE_ADD_U64, &instructions, count);
}

static void ended(qemu_plugin_id_t id, void* unused) {
  const char* path = getenv("INSTRUCTIONS_OUT");
  FILE* file = path ? fopen(path, "w") : NULL;
  if (file) {
    fprintf(file, "%" PRIu64 "\n", instructions);
    fclose(file);
  }
}

int qemu_plugin_install(qemu_plugin_id_t id, const void* info, int argc, char** argv) {
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
