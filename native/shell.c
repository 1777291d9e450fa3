// kt-shell COMMAND ARG...: runs COMMAND in a user, mount and network namespace whose only interface is a TUN. It is told
// what to set up by the engine, which stays outside, and gives the engine the TUN's descriptor. COMMAND keeps the
// terminal, the user and the group of whoever called, and has no capability, not even inside.
//
// Descriptor 3 is a Unix socket that only descriptors go through (SCM_RIGHTS). On descriptor 4, a Unix socket, lines go
// both ways. From the engine:
//   mtu BYTES | address ADDRESS/LENGTH
//   file BYTES PATH    what PATH holds inside; BYTES of content follow the line
//   cover BYTES PATH   the same, where PATH exists
//   root PATH          the folder with the files of a container
//   place ro|rw PATH   what is at PATH below it is at PATH inside    -> left NUMBER ERRNO where that cannot be
//   make       sets all of it up               -> made NETWORK-NAMESPACE | failed STEP ERRNO
//   go         starts COMMAND
//   socket ID tcp|udp 4|6   makes one inside, for the engine to connect  -> socket ID ERRNO (0: it has gone through descriptor 3)
// The first line to the engine is `hello`. The end of descriptor 4 is the end of COMMAND and of all that it has started.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <net/route.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DESCRIPTORS 3
#define LINES 4
#define DEVICE "kt0"
#define MOST_FILES 16
#define MOST_CONTENT (1 << 20)
#define MOST_ADDRESSES 4
#define MOST_PLACED 64
// What COMMAND leaves behind may take this long to end by itself, and is killed then.
#define GRACE_MS 300
// A process that the kernel does not let go of is waited for no longer.
#define KILLED_MS 1500
// sysexits(3): a service could not be had. COMMAND's own codes are its own; this one is used before it has begun.
#define EX_UNAVAILABLE 69

// linux/ipv6.h, whose own headers do not go along with every C library's.
struct ipv6_request {
  struct in6_addr address;
  uint32_t prefix_length;
  int index;
};

struct file {
  char *path;
  char *content;
  size_t length;
  bool required;
};

static struct file files[MOST_FILES];
static size_t n_files;
static char addresses[MOST_ADDRESSES][64];
static size_t n_addresses;
static int mtu = 1500;
static pid_t command;
static const char *step = "start";

static int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

// ---- lines

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...) {
  char text[256];
  va_list list;
  va_start(list, format);
  int length = vsnprintf(text, sizeof text, format, list);
  va_end(list);
  // An engine that has gone is noticed when the lines end.
  if (length > 0) (void)!send(LINES, text, (size_t)length, MSG_NOSIGNAL);
}

static char input[8192];
static size_t input_length;

// Moves what was read into `buffer` first, then reads on. False at the end of the lines.
static bool read_exactly(char *buffer, size_t length) {
  size_t have = input_length < length ? input_length : length;
  memcpy(buffer, input, have);
  memmove(input, input + have, input_length - have);
  input_length -= have;
  while (have < length) {
    ssize_t n = read(LINES, buffer + have, length - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    have += (size_t)n;
  }
  return true;
}

// Takes a line out of what was read; false if there is no whole one.
static bool take_line(char *line, size_t size) {
  char *end = memchr(input, '\n', input_length);
  if (!end) return false;
  size_t length = (size_t)(end - input);
  size_t kept = length < size - 1 ? length : size - 1;
  memcpy(line, input, kept);
  line[kept] = 0;
  memmove(input, end + 1, input_length - length - 1);
  input_length -= length + 1;
  return true;
}

// Reads once. False at the end of the lines, or after a line that is longer than any of ours.
static bool read_more(void) {
  if (input_length == sizeof input) return false;
  ssize_t n;
  do n = read(LINES, input + input_length, sizeof input - input_length);
  while (n < 0 && errno == EINTR);
  if (n <= 0) return false;
  input_length += (size_t)n;
  return true;
}

static bool send_descriptor(int fd) {
  char byte = 0;
  struct iovec part = {.iov_base = &byte, .iov_len = 1};
  union {
    char space[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
  } control;
  memset(&control, 0, sizeof control);
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  return sendmsg(DESCRIPTORS, &message, MSG_NOSIGNAL) == 1;
}

// ---- namespaces

static bool write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  size_t length = strlen(text);
  bool written = write(fd, text, length) == (ssize_t)length;
  int error = errno;
  close(fd);
  errno = error;
  return written;
}

// Root keeps its own user namespace, where every file's owner has a name. Everybody else needs one to make the others.
static bool enter_namespaces(void) {
  step = "namespaces";
  if (geteuid() == 0 && unshare(CLONE_NEWNS | CLONE_NEWNET) == 0) return true;
  uid_t uid = geteuid();
  gid_t gid = getegid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET) < 0) return false;
  step = "ids";
  char map[64];
  // user_namespaces(7): without the right to set groups a user may map their own group.
  if (!write_file("/proc/self/setgroups", "deny") && errno != ENOENT) return false;
  snprintf(map, sizeof map, "%u %u 1", uid, uid);
  if (!write_file("/proc/self/uid_map", map)) return false;
  snprintf(map, sizeof map, "%u %u 1", gid, gid);
  return write_file("/proc/self/gid_map", map);
}

// ---- the device

static bool configure_address(int s4, int s6, const char *text) {
  char address[64];
  snprintf(address, sizeof address, "%s", text);
  char *slash = strchr(address, '/');
  if (!slash) return errno = EINVAL, false;
  *slash = 0;
  int length = atoi(slash + 1);
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  strcpy(ifr.ifr_name, DEVICE);
  struct sockaddr_in *in = (struct sockaddr_in *)&ifr.ifr_addr;
  if (inet_pton(AF_INET, address, &in->sin_addr) == 1) {
    in->sin_family = AF_INET;
    if (ioctl(s4, SIOCSIFADDR, &ifr) < 0) return false;
    in->sin_addr.s_addr = length == 0 ? 0 : htonl(~0U << (32 - length));
    if (ioctl(s4, SIOCSIFNETMASK, &ifr) < 0) return false;
    return true;
  }
  struct ipv6_request ifr6;
  memset(&ifr6, 0, sizeof ifr6);
  if (inet_pton(AF_INET6, address, &ifr6.address) != 1) return errno = EINVAL, false;
  ifr6.prefix_length = (uint32_t)length;
  ifr6.index = (int)if_nametoindex(DEVICE);
  // A machine without IPv6 has none inside, too.
  return s6 < 0 || ioctl(s6, SIOCSIFADDR, &ifr6) == 0 || errno == EACCES || errno == EOPNOTSUPP || errno == EPERM;
}

static bool bring_up(int s, const char *name) {
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  strcpy(ifr.ifr_name, name);
  if (ioctl(s, SIOCGIFFLAGS, &ifr) < 0) return false;
  ifr.ifr_flags |= IFF_UP | IFF_RUNNING;
  return ioctl(s, SIOCSIFFLAGS, &ifr) == 0;
}

static bool default_routes(int s4, int s6) {
  struct rtentry route;
  memset(&route, 0, sizeof route);
  route.rt_dst.sa_family = route.rt_genmask.sa_family = AF_INET;
  route.rt_flags = RTF_UP;
  route.rt_dev = (char[]){DEVICE};
  if (ioctl(s4, SIOCADDRT, &route) < 0) return false;
  if (s6 < 0) return true;
  struct in6_rtmsg route6;
  memset(&route6, 0, sizeof route6);
  route6.rtmsg_flags = RTF_UP;
  route6.rtmsg_metric = 1;
  route6.rtmsg_ifindex = (int)if_nametoindex(DEVICE);
  (void)!ioctl(s6, SIOCADDRT, &route6);
  return true;
}

// Returns the TUN's descriptor, or -1 with errno and `step`.
static int make_device(void) {
  step = "tun";
  int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  if (fd < 0) return -1;
  step = "device";
  int s4 = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int s6 = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq ifr;
  memset(&ifr, 0, sizeof ifr);
  strcpy(ifr.ifr_name, DEVICE);
  ifr.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_TUN_EXCL);
  bool done = s4 >= 0 && ioctl(fd, TUNSETIFF, &ifr) == 0;
  ifr.ifr_mtu = mtu;
  done = done && ioctl(s4, SIOCSIFMTU, &ifr) == 0;
  for (size_t i = 0; done && i < n_addresses; i++) done = configure_address(s4, s6, addresses[i]);
  done = done && bring_up(s4, "lo") && bring_up(s4, DEVICE) && default_routes(s4, s6);
  int error = errno;
  if (s4 >= 0) close(s4);
  if (s6 >= 0) close(s6);
  // Best effort: in some containers /proc/sys is read-only. Low ports harm nobody where the network is COMMAND's own, and
  // ping needs either this or a capability.
  char groups[64];
  snprintf(groups, sizeof groups, "%u %u", getegid(), getegid());
  write_file("/proc/sys/net/ipv4/ping_group_range", groups);
  write_file("/proc/sys/net/ipv4/ip_unprivileged_port_start", "0");
  if (!done) close(fd);
  errno = error;
  return done ? fd : -1;
}

// ---- the files of a container

// What a shell's command finds at the paths of a container: each is bound from below one folder. Nothing is written to
// the machine's file system. A path that is not there is made in a tmpfs which takes the place of the nearest folder that
// is, with all else of that folder bound into it. Only folders that the user may not write to are replaced so: in others
// what the command writes must stay.
static char place_root[512];
static struct placed {
  char *path;
  bool writable; // an emptyDir: it is made where there is nothing, and covers nothing
} placed[MOST_PLACED];
static size_t n_placed;
static struct cover {
  char path[PATH_MAX];
  dev_t device;
} covers[MOST_PLACED]; // they become read-only at the end
static size_t n_covers;

// Absolute, and without `.`, `..` and empty parts.
static bool is_plain(const char *path) {
  if (path[0] != '/' || path[1] == 0) return false;
  for (const char *part = path + 1;; part++) {
    size_t length = strcspn(part, "/");
    if (length == 0 || (length == 1 && part[0] == '.') || (length == 2 && strncmp(part, "..", 2) == 0)) return false;
    part += length;
    if (*part == 0) return true;
  }
}

// `path` is `folder` or below it.
static bool is_within(const char *path, const char *folder) {
  size_t length = strlen(folder);
  if (length == 1) return true;
  return strncmp(path, folder, length) == 0 && (path[length] == 0 || path[length] == '/');
}

static char working[PATH_MAX], home[PATH_MAX], root_there[PATH_MAX];

// Programs of this machine need these, and the user's own files are not to disappear.
static bool may_cover(const char *path) {
  static const char *const system[] = {"/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/opt", "/proc", "/root",
      "/run", "/sbin", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local", "/usr/local/bin", "/usr/local/lib", "/usr/sbin", "/var"};
  for (size_t i = 0; i < sizeof system / sizeof *system; i++)
    if (is_within(system[i], path)) return false;
  if (is_within(path, "/proc") || is_within(path, "/sys") || is_within(path, "/dev")) return false;
  return !is_within(working, path) && !(home[0] && is_within(home, path)) && !is_within(root_there, path);
}

static void descriptor_path(char *text, size_t size, int fd, const char *name) {
  snprintf(text, size, "/proc/self/fd/%d%s%s", fd, name ? "/" : "", name ? name : "");
}

// Gives `name`, an entry of `from`, the same name in `to`. What cannot be seen by the user is left out.
static bool bind_entry(int from, int to, const char *name) {
  struct stat what;
  if (fstatat(from, name, &what, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT || errno == EACCES;
  if (S_ISLNK(what.st_mode)) {
    char text[PATH_MAX];
    ssize_t n = readlinkat(from, name, text, sizeof text - 1);
    if (n < 0) return false;
    text[n] = 0;
    return symlinkat(text, to, name) == 0;
  }
  bool folder = S_ISDIR(what.st_mode);
  int fd = folder ? mkdirat(to, name, 0755) : openat(to, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0644);
  if (fd < 0) return false;
  if (!folder) close(fd);
  int source = openat(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
  if (source < 0) return errno == ENOENT || errno == EACCES;
  char there[64], here[PATH_MAX];
  descriptor_path(there, sizeof there, source, NULL);
  descriptor_path(here, sizeof here, to, name);
  bool done = mount(there, here, NULL, MS_BIND | (folder ? MS_REC : 0), NULL) == 0;
  int error = errno;
  close(source);
  errno = error;
  return done;
}

static bool bind_entries(int from, int to, const char *except) {
  DIR *list = fdopendir(openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!list) return false;
  bool done = true;
  for (struct dirent *entry; done && (entry = readdir(list));) {
    const char *name = entry->d_name;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || (except && strcmp(name, except) == 0)) continue;
    done = bind_entry(from, to, name);
  }
  int error = errno;
  closedir(list);
  errno = error;
  return done;
}

// A tmpfs in place of `folder`, with all that is in that.
static bool cover_folder(const char *folder) {
  bool all = strcmp(folder, "/") == 0;
  // The root itself is exchanged at the end; until then the new one lies over /tmp.
  const char *stage = all ? "/tmp" : folder;
  int old = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int under = open(stage, O_PATH | O_DIRECTORY | O_CLOEXEC);
  struct stat as, is;
  int cover = -1;
  bool mounted = false, done = false;
  if (old < 0 || under < 0 || fstat(old, &as) < 0) goto out;
  char options[64];
  snprintf(options, sizeof options, "mode=%04o,size=4m,nr_inodes=65536", as.st_mode & 0755);
  if (mount("kt-shell", stage, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0) goto out;
  mounted = true;
  cover = open(stage, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (cover < 0 || fstat(cover, &is) < 0) goto out;
  if (all) {
    char there[64], here[64];
    descriptor_path(there, sizeof there, under, NULL);
    descriptor_path(here, sizeof here, cover, "tmp");
    if (mkdirat(cover, "tmp", 0755) < 0 || mount(there, here, NULL, MS_BIND | MS_REC, NULL) < 0) goto out;
    // What lies over /tmp has come along.
    if (umount2(here, MNT_DETACH) < 0) goto out;
  }
  if (!bind_entries(old, cover, all ? "tmp" : NULL)) goto out;
  if (all) {
    // pivot_root(2): with `.` twice the old root lies over the new one, and goes.
    if (fchdir(cover) < 0 || syscall(SYS_pivot_root, ".", ".") < 0) goto out;
    mounted = false;
    if (umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) goto out;
  }
  struct cover *made = &covers[n_covers++];
  snprintf(made->path, sizeof made->path, "%s", folder);
  made->device = is.st_dev;
  done = true;
out:;
  int error = errno;
  if (!done && mounted) umount2(stage, MNT_DETACH);
  if (old >= 0) close(old);
  if (under >= 0) close(under);
  if (cover >= 0) close(cover);
  errno = error;
  return done;
}

static bool is_cover(const char *path) {
  struct stat one;
  if (stat(path, &one) < 0) return false;
  for (size_t i = 0; i < n_covers; i++)
    if (one.st_dev == covers[i].device) return true;
  return false;
}

// Makes `path`, which is not there, for something of the kind of `source`.
static bool make_target(char *path, bool folder) {
  char nearest[PATH_MAX];
  size_t length = strlen(path);
  char cut[PATH_MAX];
  snprintf(cut, sizeof cut, "%s", path);
  for (;;) {
    while (length > 0 && cut[--length] != '/') continue;
    cut[length] = 0;
    if (realpath(length == 0 ? "/" : cut, nearest)) break;
    if (length == 0 || errno != ENOENT) return false;
  }
  // A link to what is not there: whose place is to be taken is not clear.
  char first[PATH_MAX];
  snprintf(first, sizeof first, "%s", path);
  char *end = strchr(first + length + 1, '/');
  if (end) *end = 0;
  struct stat what;
  if (lstat(first, &what) == 0) return errno = ELOOP, false;
  if (stat(nearest, &what) < 0) return false;
  if (!S_ISDIR(what.st_mode)) return errno = ENOTDIR, false;
  if (!is_cover(nearest)) {
    if (is_within(nearest, "/proc") || is_within(nearest, "/sys") || is_within(nearest, "/dev")) return errno = EBUSY, false;
    // access(2) is about the user, without the rights of this moment.
    if (access(nearest, W_OK) == 0) return errno = EEXIST, false;
    if (!cover_folder(nearest)) return false;
  }
  for (char *part = path + length + 1;; part++) {
    part += strcspn(part, "/");
    bool last = *part == 0;
    *part = 0;
    if (!last || folder) {
      if (mkdir(path, 0755) < 0) return false;
    } else {
      int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
      if (fd < 0) return false;
      close(fd);
    }
    if (last) return true;
    *part = '/';
  }
}

// One part after the other, since the user, whose folder it is, may not lead us out of it by a link.
static int open_source(const char *path) {
  int fd = open(place_root, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  char parts[PATH_MAX], *rest = NULL;
  snprintf(parts, sizeof parts, "%s", path);
  for (char *part = strtok_r(parts, "/", &rest); fd >= 0 && part; part = strtok_r(NULL, "/", &rest)) {
    int next = openat(fd, part, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int error = errno;
    close(fd);
    errno = error;
    fd = next;
  }
  struct stat what;
  if (fd < 0 || fstat(fd, &what) < 0 || S_ISDIR(what.st_mode) || S_ISREG(what.st_mode)) return fd;
  close(fd);
  errno = ELOOP;
  return -1;
}

static bool bind_placed(const struct placed *one) {
  char path[PATH_MAX], there[64];
  struct stat source, target;
  int fd = open_source(one->path);
  if (fd < 0) return false;
  bool done = false;
  if (fstat(fd, &source) < 0) goto out;
  bool folder = S_ISDIR(source.st_mode);
  if (realpath(one->path, path)) {
    if (stat(path, &target) == 0) {
      // It came along with the folder around it.
      if (target.st_dev == source.st_dev && target.st_ino == source.st_ino) return close(fd), true;
      bool alike = folder == S_ISDIR(target.st_mode);
      done = alike && !one->writable && may_cover(path);
      errno = !alike ? ENOTDIR : one->writable ? EEXIST : EBUSY;
    }
  } else if (errno == ENOENT) {
    snprintf(path, sizeof path, "%s", one->path);
    done = make_target(path, folder);
    // The folder may be in a tree by now that has taken the place of the one it was opened in.
    if (done) {
      close(fd);
      fd = open_source(one->path);
      done = fd >= 0 && fstat(fd, &source) == 0 && folder == S_ISDIR(source.st_mode);
    }
  }
  if (!done) goto out;
  descriptor_path(there, sizeof there, fd, NULL);
  done = mount(there, path, NULL, MS_BIND, NULL) == 0;
  // Two steps: the first takes no flags. What the folder's own mount has must stay.
  unsigned long flags = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | (one->writable ? 0 : MS_RDONLY);
  struct statvfs has;
  if (done && fstatvfs(fd, &has) == 0) flags |= (has.f_flag & ST_NOEXEC ? MS_NOEXEC : 0);
  if (done && mount(NULL, path, NULL, flags, NULL) < 0) {
    int error = errno;
    umount2(path, MNT_DETACH);
    errno = error;
    done = false;
  }
out:;
  int error = errno;
  if (fd >= 0) close(fd);
  errno = error;
  return done;
}

// Fails only where it left something half done. What stays below the folder alone is told.
static bool place_files(void) {
  if (n_placed == 0) return true;
  step = "place";
  if (!getcwd(working, sizeof working) || !realpath(place_root, root_there)) return false;
  const char *named = getenv("HOME");
  if (!named || !realpath(named, home)) home[0] = 0;
  for (size_t i = 0; i < n_placed; i++)
    if (!bind_placed(&placed[i])) say("left %zu %d\n", i, errno ? errno : EINVAL);
  for (size_t i = 0; i < n_covers; i++)
    if (mount(NULL, covers[i].path, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) return false;
  return chdir(working) == 0; // what lay there before may be covered
}

// ---- files

// Each file lies in a tmpfs of its own making and is bound over its path. The tmpfs has no other name afterwards.
static bool cover_files(void) {
  static const char stage[] = "/tmp";
  step = "mounts";
  if (mount("kt-shell", stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=4m") < 0) return false;
  bool done = true;
  int error = 0;
  for (size_t i = 0; i < n_files && done; i++) {
    char path[64];
    snprintf(path, sizeof path, "%s/%zu", stage, i);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    done = fd >= 0 && write(fd, files[i].content, files[i].length) == (ssize_t)files[i].length;
    if (done) done = fchmod(fd, 0644) == 0;
    if (fd >= 0) close(fd);
    if (done && mount(path, files[i].path, NULL, MS_BIND, NULL) < 0) {
      done = !files[i].required && (errno == ENOENT || errno == ENOTDIR);
      step = "file";
    }
    error = errno;
  }
  if (done && umount2(stage, MNT_DETACH) < 0) {
    done = false;
    error = errno;
  }
  errno = error;
  return done;
}

// ---- rights

// For good, also for root: no capability now, and none by execve, neither as root nor by a file's set-user-ID bit or
// capabilities. The bounding set stays: without it the kernel would refuse to run programs whose files bear capabilities
// at all (ping; a Node that may listen on port 80), and no_new_privs keeps them from gaining any.
static bool drop_rights(void) {
  step = "rights";
  prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  if (prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED) < 0) return false;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct none[2];
  memset(none, 0, sizeof none);
  if (syscall(SYS_capset, &header, none) < 0) return false;
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
}

static bool make(void) {
  if (!enter_namespaces()) return false;
  int tun = make_device();
  if (tun < 0) return false;
  step = "mounts";
  if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) return false;
  if (!place_files() || !cover_files() || !drop_rights()) return false;
  step = "hand-over";
  struct stat network;
  if (stat("/proc/self/ns/net", &network) < 0 || !send_descriptor(tun)) return false;
  close(tun); // the engine's is the last one: without it there is no interface
  say("made %llu\n", (unsigned long long)network.st_ino);
  return true;
}

// ---- connections to COMMAND's ports

// A socket stays in the network that it was made in, whoever connects it. So the engine reaches COMMAND's ports as it reaches
// those of the machine, and nothing is waited for here.
static void make_socket(unsigned long id, bool stream, int family) {
  int fd = socket(family == 6 ? AF_INET6 : AF_INET, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
  int error = fd < 0 ? errno : send_descriptor(fd) ? 0 : errno;
  say("socket %lu %d\n", id, error);
  if (fd >= 0) close(fd);
}

// ---- COMMAND

static void start_command(char **argv, const sigset_t *inherited) {
  // A pipe that this process shares with Node may be left non-blocking, which COMMAND does not expect.
  for (int fd = 0; fd <= 2; fd++) {
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK)) fcntl(fd, F_SETFL, flags & ~O_NONBLOCK);
  }
  pid_t self = getpid();
  command = fork();
  if (command != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != self) _exit(EX_UNAVAILABLE);
  sigprocmask(SIG_SETMASK, inherited, NULL);
  execvp(argv[0], argv);
  int error = errno;
  if (error == ENOENT) fprintf(stderr, "error: %s: command not found\n", argv[0]);
  else fprintf(stderr, "error: %s cannot be run: %s\n", argv[0], strerror(error));
  _exit(error == ENOENT ? 127 : 126); // as shells do
}

// COMMAND has stopped, by Ctrl-Z or by itself: whoever started kt shall see kt stopped, and have the terminal.
static void stop_along(void) {
  pid_t group = getpgid(command);
  pid_t front = tcgetpgrp(STDIN_FILENO);
  kill(getppid(), SIGSTOP);
  raise(SIGSTOP);
  // Continued. COMMAND gets the terminal back if it had it in a group of its own.
  if (group > 0 && front == group && group != getpgrp()) tcsetpgrp(STDIN_FILENO, group);
  if (group > 0) kill(group == getpgrp() ? command : -group, SIGCONT);
}

// Calls `kill` for each child of this process, which is also the parent of what COMMAND left behind.
static void signal_children(int signal) {
  DIR *proc = opendir("/proc");
  if (!proc) return;
  pid_t self = getpid();
  for (struct dirent *entry; (entry = readdir(proc));) {
    if (!isdigit((unsigned char)entry->d_name[0])) continue;
    char path[300], text[512];
    snprintf(path, sizeof path, "/proc/%s/stat", entry->d_name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) continue;
    text[n] = 0;
    char *end = strrchr(text, ')'); // the name may hold anything
    int parent;
    if (end && sscanf(end + 1, " %*c %d", &parent) == 1 && parent == self) kill((pid_t)atoi(entry->d_name), signal);
  }
  closedir(proc);
}

// True when no child is left.
static bool reap(void) {
  for (;;) {
    pid_t pid = waitpid(-1, NULL, WNOHANG);
    if (pid < 0 && errno == ECHILD) return true;
    if (pid == 0) return false;
  }
}

static void end_all(void) {
  if (reap()) return;
  struct timespec moment = {.tv_nsec = 5000000};
  signal_children(SIGTERM);
  signal_children(SIGCONT);
  for (int64_t until = now_ms() + GRACE_MS; now_ms() < until; nanosleep(&moment, NULL))
    if (reap()) return;
  // Children of the killed become ours, until there is none.
  for (int64_t until = now_ms() + KILLED_MS; now_ms() < until; nanosleep(&moment, NULL)) {
    signal_children(SIGKILL);
    if (reap()) return;
  }
}

// Ends as COMMAND did, with its code or by its signal.
static int end_as(int status) {
  if (!WIFSIGNALED(status)) return WEXITSTATUS(status);
  int signal = WTERMSIG(status);
  prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); // COMMAND's own core is enough
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigaction(signal, &action, NULL);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, signal);
  sigprocmask(SIG_UNBLOCK, &one, NULL);
  raise(signal);
  return 128 + signal;
}

// ---- the loop

static bool handle(char *line, char **argv, const sigset_t *inherited) {
  unsigned long id, bytes;
  int family;
  char path[512], kind[4];
  if (sscanf(line, "mtu %d", &mtu) == 1) return true;
  if (sscanf(line, "address %63s", addresses[n_addresses < MOST_ADDRESSES ? n_addresses : 0]) == 1) {
    if (n_addresses == MOST_ADDRESSES || !strchr(addresses[n_addresses], '/')) return false;
    n_addresses++;
    return true;
  }
  bool required = strncmp(line, "file ", 5) == 0;
  if (sscanf(line, required ? "file %lu %511[^\n]" : "cover %lu %511[^\n]", &bytes, path) == 2) {
    if (n_files == MOST_FILES || bytes > MOST_CONTENT) return false;
    struct file *file = &files[n_files++];
    *file = (struct file){strdup(path), malloc(bytes + 1), bytes, required};
    return file->path && file->content && read_exactly(file->content, bytes);
  }
  if (sscanf(line, "root %511[^\n]", path) == 1) {
    if (!is_plain(path)) return false;
    strcpy(place_root, path);
    return true;
  }
  if (strncmp(line, "place r", 7) == 0 && sscanf(line, "place %*2[row] %511[^\n]", path) == 1) {
    if (n_placed == MOST_PLACED || !place_root[0] || !is_plain(path)) return false;
    placed[n_placed++] = (struct placed){strdup(path), line[7] == 'w'};
    return placed[n_placed - 1].path != NULL;
  }
  if (strcmp(line, "make") == 0) {
    if (make()) return true;
    say("failed %s %d\n", step, errno);
    return false;
  }
  if (strcmp(line, "go") == 0) {
    if (command == 0) start_command(argv, inherited);
    return command > 0;
  }
  if (sscanf(line, "socket %lu %3[a-z] %d", &id, kind, &family) == 3) {
    make_socket(id, strcmp(kind, "tcp") == 0, family);
    return true;
  }
  return false;
}

// Takes what has changed of the children. True when COMMAND has ended, with its status.
static bool command_ended(int *status) {
  for (;;) {
    int one;
    pid_t pid = waitpid(-1, &one, WNOHANG | WUNTRACED);
    if (pid <= 0) return false;
    if (pid != command) continue;
    if (WIFSTOPPED(one)) {
      stop_along();
      continue;
    }
    *status = one;
    return true;
  }
}

int main(int argc, char **argv) {
  if (argc < 2) {
    fputs("usage: kt-shell COMMAND ARG...\n", stderr);
    return 2;
  }
  int orphaned = SIGRTMIN + 1;
  prctl(PR_SET_PDEATHSIG, orphaned);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (int fd = DESCRIPTORS; fd <= LINES; fd++) {
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
      fputs("kt-shell is started by `kt shell`\n", stderr);
      return 2;
    }
  }
#ifdef SYS_close_range
  syscall(SYS_close_range, LINES + 1, ~0U, 0);
#endif
  // The terminal's signals reach COMMAND by themselves; they must not end this process. The others are handed on.
  static const int handed_on[] = {SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};
  sigset_t all, inherited;
  sigemptyset(&all);
  for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on; i++) sigaddset(&all, handed_on[i]);
  int others[] = {SIGINT, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU, SIGCHLD, SIGPIPE, orphaned};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) sigaddset(&all, others[i]);
  sigprocmask(SIG_BLOCK, &all, &inherited);
  int signals = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
  if (signals < 0) return EX_UNAVAILABLE;
  bool had_front = tcgetpgrp(STDIN_FILENO) == getpgrp();
  say("hello\n");

  struct pollfd polled[] = {{.fd = signals, .events = POLLIN}, {.fd = LINES, .events = POLLIN}};
  int status = -1;
  bool ended = false, connected = true;
  while (!ended && connected) {
    if (poll(polled, 2, -1) < 0 && errno != EINTR) break;
    struct signalfd_siginfo info;
    while (read(signals, &info, sizeof info) == sizeof info) {
      int signal = (int)info.ssi_signo;
      if (signal == orphaned) connected = false;
      // One that the caller sends by itself has not reached COMMAND.
      bool meant = signal == SIGINT && info.ssi_code == SI_USER && (pid_t)info.ssi_pid == getppid();
      for (size_t i = 0; i < sizeof handed_on / sizeof *handed_on; i++) meant |= signal == handed_on[i];
      if (meant && command > 0) kill(command, signal);
    }
    if (command > 0) ended = command_ended(&status);
    if (ended || !connected || !(polled[1].revents & (POLLIN | POLLHUP))) continue;
    connected = read_more();
    char line[600];
    while (connected && take_line(line, sizeof line)) connected = handle(line, argv + 1, &inherited);
  }
  end_all();
  if (had_front && tcgetpgrp(STDIN_FILENO) != getpgrp()) tcsetpgrp(STDIN_FILENO, getpgrp());
  return ended ? end_as(status) : EX_UNAVAILABLE;
}
