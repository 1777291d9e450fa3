// kt-launch UID GID GROUPS PROGRAM ARG...: becomes that user for good, with the supplementary groups GROUPS ("4,27"; "-" for
// none), then runs PROGRAM. It looks nothing up, so that it works with any C library, linked in or not. Node's own spawn drops the supplementary groups; and the engine must never run as root, not even while its
// own start-up code loads, so this is done by a program that does nothing else. Descriptors 0 to 4 are handed on
// (input, output, errors, the TUN, the channel to the helper).
#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_CLOSED 5
// sysexits(3): the user lacks a permission. Node and the engine never end with it.
#define EX_NOPERM 77

static void fail(const char *what) {
  fprintf(stderr, "kt-launch: %s: %s\n", what, strerror(errno));
  exit(126);
}

static unsigned parse_id(const char *text) {
  char *end;
  errno = 0;
  unsigned long id = strtoul(text, &end, 10);
  if (errno || end == text || *end || text[0] == '-' || id >= (unsigned)-1) {
    errno = EINVAL;
    fail(text);
  }
  return (unsigned)id;
}

// Ends with EX_NOPERM and the first part of the path that the user may not enter, or the path that it may not read.
static void must_reach(const char *path, int mode) {
  if (path[0] != '/' || access(path, mode) == 0 || errno != EACCES) return;
  char *part = strdup(path);
  if (!part) fail("strdup");
  for (char *slash = part; (slash = strchr(slash + 1, '/'));) {
    *slash = 0;
    if (access(part, X_OK) < 0 && errno == EACCES) break;
    *slash = '/';
  }
  fprintf(stderr, "%s", part);
  exit(EX_NOPERM);
}

// Takes the list's numbers as supplementary groups.
static void become_member(char *list) {
  gid_t groups[NGROUPS_MAX];
  size_t count = 0;
  if (strcmp(list, "-"))
    for (char *word = strtok(list, ","); word; word = strtok(NULL, ",")) {
      if (count == NGROUPS_MAX) {
        errno = E2BIG;
        fail("groups");
      }
      groups[count++] = parse_id(word);
    }
  if (setgroups(count, groups) < 0) fail("setgroups");
}

int main(int argc, char **argv) {
  if (argc < 5) {
    fputs("usage: kt-launch UID GID GROUPS PROGRAM ARG...\n", stderr);
    return 2;
  }
  uid_t uid = parse_id(argv[1]);
  gid_t gid = parse_id(argv[2]);
  become_member(argv[3]);
  if (setresgid(gid, gid, gid) < 0) fail("setresgid");
  if (setresuid(uid, uid, uid) < 0) fail("setresuid");
  // There must be no way back: a kernel or a sandbox that pretends would leave the engine with root's rights.
  if (uid != 0 && (setuid(0) == 0 || seteuid(0) == 0)) {
    errno = EPERM;
    fail("root's rights could be taken back");
  }
  umask(022);
#ifdef SYS_close_range
  syscall(SYS_close_range, FIRST_CLOSED, ~0U, 0);
#endif
  must_reach(argv[4], X_OK);
  if (argc > 5) must_reach(argv[5], R_OK);
  execv(argv[4], argv + 4);
  fail(argv[4]);
}
